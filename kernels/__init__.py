"""The mathematics of one tile, for any device. Needs only NumPy; knows neither MPI nor stores nor job files."""
