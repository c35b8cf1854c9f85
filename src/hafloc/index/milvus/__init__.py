"""A GeoIndex in a collection of Milvus, or in a folder of Milvus Lite."""
