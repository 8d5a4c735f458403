"""What is done with finished stores, lazily with Dask: images, videos, measurements. Reads stores, never writes them."""
