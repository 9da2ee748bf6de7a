"""A seeded world whose laws we wrote: what customers send, and beside it the truth.

Real data says whether the models are useful; this world says whether they are right.

======================  ==================================================================================
module                  holds
======================  ==================================================================================
``brand``               ``Brand``: every dial of one customer; ``BOOTS``, ``CAFE``, ``tiny``
``world``               ``simulate(brand) -> World``: the tables under their canonical names, and ``Truth``
``categories``          what brands may sell: categories, prices, nouns, attributes
``files``               ``write``: the customer's files and TOML; ``write_truth``: the truth, elsewhere
``shape``               how one customer writes files: format, delimiter, dates, its own column names
``oracle``              what to expect, for someone who knows the laws; and what then happened
``people``              who the shoppers are: traits, tastes, rates
``assortment``          items, stores, and the items that go together
``pictures``            what items look like, by their category and colour
``campaigns``           who was written to, who was held out, and how their buying changed
``mailing_list``        newsletters, consents, and who opts out of being written to too often
``purchases``           when everybody buys, and leaves
``baskets``             what is on each bill
``price_cuts``          weeks in which items are reduced for all, and how much more is taken of them
``launches``            items that come one after the other, and who buys them for what they are like
``passers_by``          users who come once, and never again
``dirt``                what goes wrong between the till and the lake
``frauds``              what somebody at the till makes wrong on purpose
``clock``               the brand's own time: seasons, weeks, hours, shifts
``streams``             one stream of random numbers per draw
======================  ==================================================================================

The laws:

- A user comes with a first bill. From then on the user buys at a rate drawn from Gamma(r, alpha) and leaves after each
  repeat purchase with a chance drawn from Beta(a, b): BG/NBD (Fader, Hardie and Lee, "Counting Your Customers the Easy
  Way", Marketing Science 24(2), 2005).
- Seasons, weekdays, hours, campaigns and shifts never touch those draws. They stretch time: purchases fall on the
  brand's clock, which runs fast in a busy hour and stands still while the shops are closed. With ``season_strength``
  0 and flat profiles the clock is the calendar; with a week profile the two agree at the end of every week. So BG/NBD
  holds exactly on that clock, whatever is switched on, and its oracle stays computable.
- A campaign picks users at random and holds some of them out, at random. For its days it multiplies the rate of the
  others by one plus an uplift that depends on age band and income band alone; by switch, on the user's own rate
  instead: only those who buy more rarely than half of all answer (``campaigns.uplift``).
- By switch users get newsletters besides, at rates of their own, and opt out the sooner the more they are written to
  and the less of it they open (``mailing_list``). Neither changes what anybody buys.
- A shift multiplies the rate and the prices from a day on: suddenly, gradually, or for a quarter of every year. All
  that happened before that day is the same, row by row, as in the world without the shift.
- A user has a home store, a taste (Dirichlet over categories), a price sensitivity (five levels) and a basket size.
  Inside a category items are picked by Zipf popularity, tilted to the cheap or the dear by that sensitivity. Some
  items bring their partner along with a known chance.
- By switch an item is reduced for all in some weeks. What a user would have bought of it is multiplied by
  ``(1 - depth) ** elasticity``; the elasticity is that of the category plus the user's own, by price sensitivity.
- By switch (``style_strength``) each shopper has a colour too, and items of it are ``exp(strength)`` times as likely.
  By switch items have pictures, drawn from category and colour, and some items are sent without both.
- By switch further users come once, for what is reduced, and never again: all on their only bill is at a fifth off.
- By switch items are launched one after the other, on top of the others; who buys one goes by category and by what it
  is like: of each attribute a user loves one value (``launches``).
- Anonymous bills are those of shoppers who live by the same laws and show no card.
- Dirt is laid over the files only: ``World`` is clean, ``World.dirt`` says what was planned for each bill.

The truth is ``World.truth``, on disk only where ``write_truth`` is told to put it. Never in the customer's folder, so
never in the lake: both writers refuse a folder that belongs to the other.
"""
