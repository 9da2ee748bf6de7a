"""What is in deploy/: the image, the values for the chart, the manifests, the pages."""
