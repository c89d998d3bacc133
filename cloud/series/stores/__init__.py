"""One implementation of the port `cloud.series.model.SeriesStore` per file."""
