"""Orders of meals and how long their delivery took, as a CSV table with the header of `networks.data.tables.DELIVERIES`.

Owns a law that is plausible and known: the time grows with the way, the orders at hand, the cost and the share of busy
deliverers, is longer in the evening and in crowded markets, and has noise of 400 seconds.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import datetime, timedelta

import numpy as np

from networks.data.draws import Draws

HEADER = (
    "Market",
    "Order Made",
    "Store Number",
    "Cost",
    "Total Deliverers",
    "Busy Deliverers",
    "Total Orders",
    "Estimated Transit Time",
    "Linear Estimation",
    "Elapsed Time",
)
MAY_BE_MISSING = ("Market", "Total Deliverers", "Busy Deliverers", "Total Orders", "Estimated Transit Time")
FILE_NAME = "deliveries.csv"

FIRST_DAY = datetime(2015, 1, 21)
DAYS = 28
STORES = 6987
MARKETS = 6
NOISE_S = 400.0


def make(count: int, seed: int, parameters: Mapping[str, float]) -> dict[str, bytes]:
    """`count` orders; of the columns in MAY_BE_MISSING the share `missing` of the entries is empty."""
    draws = Draws("deliveries", seed)
    store = draws.integers(1, STORES + 1, count)
    market = store % MARKETS + 1
    evening = draws.integers(0, 100, count) < 60
    second = np.where(evening, draws.integers(17 * 3600, 23 * 3600, count), draws.integers(0, 86400, count))
    day = draws.integers(0, DAYS, count)

    # A few costs have five digits, a few deliverers three.
    cost = 300 + np.rint(900 * (draws.uniform(count) + 0.2) / (0.05 + draws.uniform(count))).astype(np.int64)
    crowd = draws.uniform(count)
    total = np.rint(1 + 120 * crowd * crowd * draws.uniform(count) + market).astype(np.int64)
    busy = np.rint(total * (0.3 + 0.7 * draws.uniform(count))).astype(np.int64)
    orders = np.rint(busy * (0.8 + 0.8 * draws.uniform(count))).astype(np.int64)
    transit = draws.integers(120, 1200, count)

    load = busy / total
    exact = 700 + 1.1 * transit + 900 * load * load + 8.0 * orders + 0.08 * np.minimum(cost, 9000) + 40.0 * market
    elapsed = np.rint(np.maximum(exact + 300 * evening + NOISE_S * draws.normal(count), 200)).astype(np.int64)
    linear = np.rint(600 + 1.1 * transit + 700 * load + 9.0 * orders + 0.07 * np.minimum(cost, 9000)).astype(np.int64)

    made = [str(FIRST_DAY + timedelta(days=int(one), seconds=int(two))) for one, two in zip(day, second, strict=True)]
    values = (market, store, cost, total, busy, orders, transit, linear, elapsed)
    names = [name for name in HEADER if name != "Order Made"]
    columns = {name: [str(entry) for entry in column] for name, column in zip(names, values, strict=True)}
    for name in MAY_BE_MISSING:
        lost = draws.uniform(count) < parameters["missing"]
        columns[name] = ["" if gone else entry for entry, gone in zip(columns[name], lost, strict=True)]

    # Rows as a spreadsheet would write them
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(zip(*({**columns, "Order Made": made}[name] for name in HEADER), strict=True))
    return {FILE_NAME: out.getvalue().encode()}
