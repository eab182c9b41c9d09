"""Images and figures of slices, affinities and results, all marked for research use only."""
