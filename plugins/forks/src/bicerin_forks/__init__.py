"""Fields and enum values of Caffe's forks for which no plugin brings a layer."""
