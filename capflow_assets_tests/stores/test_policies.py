"""The policy documents themselves; `platform/test_bucket.py` shows what they let through."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from capflow_assets.errors import CapflowError
from capflow_assets.stores.policies import bucket_encryption, bucket_of, bucket_policy, customer_policy
from capflow_assets_tests.platform.services import aws

KEY = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
AWS = Path(__file__).parents[2] / "deploy" / "aws"
DOCUMENTS = [
    customer_policy("s3://lake/brands", "shop"),
    customer_policy("s3://lake/brands", "shop", "read", KEY),
    customer_policy("s3://lake", "shop", "read-write", KEY, "s3://logs/dagster"),
    bucket_policy("s3://lake/brands"),
    bucket_policy("s3://lake", KEY),
]


def actions(document):
    return {a for s in document["Statement"] if s["Effect"] == "Allow" for a in s["Action"]}


def test_a_reader_may_not_write_delete_or_make_data_keys():
    assert actions(customer_policy("s3://lake", "shop", "read", KEY)) == {
        "s3:ListBucket",
        "s3:GetObject",
        "s3:GetBucketLocation",
        "kms:Decrypt",
    }


def test_no_allow_reaches_beyond_the_prefix_the_logs_and_the_key():
    document = customer_policy("s3://lake/brands", "shop", "read-write", KEY, "s3://logs/dagster")
    reached = {s["Resource"] for s in document["Statement"] if s["Effect"] == "Allow"}
    assert reached == {"arn:aws:s3:::lake", "arn:aws:s3:::lake/brands/shop/*", "arn:aws:s3:::logs/dagster/*", KEY}
    assert not {"s3:DeleteObjectVersion", "s3:PutBucketPolicy", "s3:*"} & actions(document)


def test_a_lake_at_the_root_of_a_bucket():
    document = customer_policy("s3://lake/", "shop")
    assert document["Statement"][0]["Condition"] == {"StringLike": {"s3:prefix": "shop/*"}}
    assert document["Statement"][1]["Resource"] == "arn:aws:s3:::lake/shop/*"


@pytest.mark.parametrize(
    "lake", ["/data/lake", "s3://", "s3://lake/a*", "s3://lake/${aws:username}", "s3://LAKE/x", "s3://ab/x"]
)
def test_a_lake_that_a_policy_would_misread_is_refused(lake):
    with pytest.raises(CapflowError, match="has no policies"):
        bucket_of(lake)


@pytest.mark.parametrize("customer", ["*", "shop*", "../cafe", "Shop", "", "shop/raw"])
def test_what_is_no_customer_is_refused(customer):
    with pytest.raises(CapflowError, match="no customer name"):
        customer_policy("s3://lake", customer)


@pytest.mark.parametrize("key", ["alias/lake", "arn:aws:kms:eu-central-1:123456789012:key/*", "1234abcd"])
def test_a_key_is_named_by_its_arn(key):
    for make in (bucket_encryption, lambda key: bucket_policy("s3://lake", key)):
        with pytest.raises(CapflowError, match="That is no key"):
            make(key)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_iam_takes_them(document):
    """moto checks the grammar of a policy as IAM does. A bucket's policy names whom it is about, a role's does not."""
    from moto.iam.policy_validation import IAMPolicyDocumentValidator

    text = json.dumps(
        {**document, "Statement": [{k: v for k, v in s.items() if k != "Principal"} for s in _of(document)]}
    )
    IAMPolicyDocumentValidator(text).validate()
    assert len(text) < 6144, "IAM's limit for a managed policy"


def _of(document):
    return document["Statement"]


def test_the_pages_example_is_what_the_function_gives():
    shipped = json.loads((AWS / "customer-policy.json").read_text())
    assert shipped == customer_policy(
        "s3://example-lake/brands", "boots", "read-write", KEY, "s3://example-logs/dagster"
    )


def test_the_template_makes_the_bucket_that_the_functions_describe():
    """moto carries out CloudFormation's own words, but for bucket policies, which it does not know there."""
    name, template = "made-by-the-template", yaml.load((AWS / "lake.yaml").read_text(), Template)
    policy = template["Resources"].pop("Policy")["Properties"]
    assert (policy["Bucket"], filled(policy["PolicyDocument"], name)) == (
        {"Ref": "Bucket"},
        bucket_policy(f"s3://{name}", KEY),
    )
    assert template["Resources"]["Bucket"]["Properties"]["VersioningConfiguration"] == {"Status": "Enabled"}
    with aws() as cloud:
        stacks = cloud.client("cloudformation")
        given = [{"ParameterKey": "BucketName", "ParameterValue": name}]
        stacks.create_stack(StackName=name, TemplateBody=json.dumps(template), Parameters=given)
        outputs = stacks.describe_stacks(StackName=name)["Stacks"][0]["Outputs"]
        by_key = {output["OutputKey"]: output["OutputValue"] for output in outputs}
        storage = cloud.client("s3")
        rules = storage.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
        meant = bucket_encryption(by_key["KeyArn"])["Rules"]
        # moto's CloudFormation forgets whether the bucket has a data key of its own.
        assert [rule["ApplyServerSideEncryptionByDefault"] for rule in rules] == [
            rule["ApplyServerSideEncryptionByDefault"] for rule in meant
        ]
        assert bucket_of(by_key["Lake"]) == (f"arn:aws:s3:::{name}", "brands")


class Template(yaml.SafeLoader):
    """YAML with CloudFormation's short forms, as the long ones."""


Template.add_constructor("!Ref", lambda loader, node: {"Ref": node.value})
Template.add_constructor("!Sub", lambda loader, node: {"Fn::Sub": node.value})
Template.add_constructor("!GetAtt", lambda loader, node: {"Fn::GetAtt": node.value.split(".")})


def filled(document, bucket):
    """The document with the bucket's name and the key's ARN in the places of the template's references."""
    text = json.dumps(document)
    text = text.replace('{"Fn::GetAtt": ["Key", "Arn"]}', json.dumps(KEY)).replace("${BucketName}", bucket)
    return json.loads(re.sub(r'\{"Fn::Sub": ("[^"]*")\}', r"\1", text))
