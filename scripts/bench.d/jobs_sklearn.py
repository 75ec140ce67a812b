"""A regression per slice in Python: jobs_sklearn.py loop|arrays|check FILE.

"loop" is how one writes it with pandas and scikit-learn; "arrays" leaves data frames out of the loop: rows sorted by
slice and cut with numpy. "check" is the loop, and prints the sum of all coefficients."""
import sys

import numpy
import pandas
from sklearn.linear_model import LinearRegression

how, table = sys.argv[1], pandas.read_csv(sys.argv[2])
predictors = ["x1", "x2", "x3", "x4", "x5"]


def loop():
    for name, rows in table.groupby("slice"):
        x, y = rows[predictors], rows["y"]
        fit = LinearRegression().fit(x, y)
        yield name, fit.intercept_, *fit.coef_, fit.score(x, y)


def arrays():
    rows = table.to_numpy()
    rows = rows[numpy.argsort(rows[:, 0], kind="stable")]
    for part in numpy.split(rows, numpy.flatnonzero(numpy.diff(rows[:, 0])) + 1):
        fit = LinearRegression().fit(part[:, 2:], part[:, 1])
        yield part[0, 0], fit.intercept_, *fit.coef_, fit.score(part[:, 2:], part[:, 1])


fits = pandas.DataFrame(arrays() if how == "arrays" else loop(), columns=["slice", "intercept", *predictors, "r_squared"])
if how == "check":
    print("%.9g" % fits[["intercept", *predictors]].to_numpy().sum(), end="")
