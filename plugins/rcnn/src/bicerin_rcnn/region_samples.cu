// Sums of pixels of regions, each by its taps, as in region_samples_kernels.py. A thread has one output; regions of an
// image overlap, so that gradients are added atomically.

// Where map (i % group, j % group) of an output's region begins.
__device__ inline long long plane_of(int index, const int* image, int outputs, int group, int height, int width,
                                     int pooled_h, int pooled_w) {
  const int j = index % pooled_w, i = index / pooled_w % pooled_h;
  const int d = index / pooled_w / pooled_h % outputs, r = index / pooled_w / pooled_h / outputs;
  const long long map = (((long long)image[r] * outputs + d) * group + i % group) * group + j % group;
  return map * height * width;
}

extern "C" __global__ void sample(int n, const real* maps, const int* image, const int* row_places,
                                  const real* row_weights, const int* column_places, const real* column_weights, real* y,
                                  int outputs, int group, int height, int width, int pooled_h, int pooled_w,
                                  int row_taps, int column_taps) {
  ELEMENT(index, n);
  const int r = index / pooled_w / pooled_h / outputs;
  const int row = (r * pooled_h + index / pooled_w % pooled_h) * row_taps;
  const int column = (r * pooled_w + index % pooled_w) * column_taps;
  const real* plane = maps + plane_of(index, image, outputs, group, height, width, pooled_h, pooled_w);
  real total = 0;
  for (int a = row; a < row + row_taps; ++a) {
    if (row_weights[a] == 0) continue;
    for (int b = column; b < column + column_taps; ++b)
      if (column_weights[b] != 0)
        total += row_weights[a] * column_weights[b] * plane[row_places[a] * width + column_places[b]];
  }
  y[index] = total;
}

extern "C" __global__ void sample_backward(int n, const real* y_diff, const int* image, const int* row_places,
                                           const real* row_weights, const int* column_places,
                                           const real* column_weights, real* x_diff, int outputs, int group, int height,
                                           int width, int pooled_h, int pooled_w, int row_taps, int column_taps) {
  ELEMENT(index, n);
  const int r = index / pooled_w / pooled_h / outputs;
  const int row = (r * pooled_h + index / pooled_w % pooled_h) * row_taps;
  const int column = (r * pooled_w + index % pooled_w) * column_taps;
  real* plane = x_diff + plane_of(index, image, outputs, group, height, width, pooled_h, pooled_w);
  for (int a = row; a < row + row_taps; ++a) {
    const real share = row_weights[a] * y_diff[index];
    if (share == 0) continue;
    for (int b = column; b < column + column_taps; ++b)
      if (column_weights[b] != 0)
        atomicAdd(&plane[row_places[a] * width + column_places[b]], share * column_weights[b]);
  }
}
