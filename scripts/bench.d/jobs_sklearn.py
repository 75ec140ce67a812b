"""A regression per slice as one writes it with scikit-learn: jobs_sklearn.py FILE."""
import sys

import numpy
from sklearn.linear_model import LinearRegression

try:
    import pandas
    table = pandas.read_csv(sys.argv[1]).to_numpy()
except ImportError:
    table = numpy.loadtxt(sys.argv[1], delimiter=",", skiprows=1)
table = table[numpy.argsort(table[:, 0], kind="stable")]
fits = []
for rows in numpy.split(table, numpy.flatnonzero(numpy.diff(table[:, 0])) + 1):
    fit = LinearRegression().fit(rows[:, 2:], rows[:, 1])
    fits.append((rows[0, 0], fit.intercept_, *fit.coef_, fit.score(rows[:, 2:], rows[:, 1])))
print(len(fits))
