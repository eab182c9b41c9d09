"""Data sets, transforms and samplers; :mod:`mmaffinity.registration` registers them."""
