// Pooling over the bins of regions `(image, x1, y1, x2, y2)`. A thread has one bin of one map; regions of an image
// overlap, so that gradients are added atomically. An invalid region, which the CPU refuses, gives NaN.

#define LOWEST ((real)-3.402823466e+38f)

__device__ inline bool is_region(const real* region, int images) {
  for (int i = 0; i < 5; ++i)
    if (!(fabs(region[i]) < (real)1e30)) return false;
  return region[0] > -1 && region[0] < images;
}

// The first pixel of a bin, or with `round_up` the one after its last, within 0 to size.
__device__ inline int edge(real place, real outside, int size, bool round_up) {
  return (int)min(max((round_up ? ceil(place) : floor(place)) + outside, (real)0), (real)size);
}

// Of bin p along one axis of a region from `start` to `stop`: its first pixel and the one after its last. Corners are
// pixels of the map.
__device__ inline void whole_bin(real start, real stop, real scale, int p, int pooled, int size, int* bin) {
  const real first = round(start * scale);
  const real step = max(round(stop * scale) - first + 1, (real)1) / pooled;
  bin[0] = edge(p * step, first, size, false);
  bin[1] = edge((p + 1) * step, first, size, true);
}

// As whole_bin; corners lie between pixels of the map.
__device__ inline void scaled_bin(real start, real stop, real scale, int p, int pooled, int size, int* bin) {
  const real first = round(start) * scale;
  const real step = max((round(stop) + 1) * scale - first, (real)0.1) / pooled;
  bin[0] = edge(p * step + first, 0, size, false);
  bin[1] = edge((p + 1) * step + first, 0, size, true);
}

extern "C" __global__ void max_pool(int n, const real* maps, const real* regions, real* y, int* mask, real scale,
                                    int images, int channels, int height, int width, int pooled_h, int pooled_w) {
  ELEMENT(i, n);
  const real* region = regions + i / pooled_w / pooled_h / channels * 5;
  mask[i] = -1;
  y[i] = NAN;
  if (!is_region(region, images)) return;
  int rows[2], columns[2];
  whole_bin(region[2], region[4], scale, i / pooled_w % pooled_h, pooled_h, height, rows);
  whole_bin(region[1], region[3], scale, i % pooled_w, pooled_w, width, columns);
  const real* plane = maps + ((int)region[0] * channels + i / pooled_w / pooled_h % channels) * height * width;
  real best = rows[0] < rows[1] && columns[0] < columns[1] ? LOWEST : (real)0;
  int place = -1;
  for (int h = rows[0]; h < rows[1]; ++h) {
    for (int w = columns[0]; w < columns[1]; ++w) {
      if (plane[h * width + w] > best) {
        best = plane[h * width + w];
        place = h * width + w;
      }
    }
  }
  y[i] = best;
  mask[i] = place;
}

extern "C" __global__ void max_backward(int n, const real* y_diff, const real* regions, const int* mask, real* x_diff,
                                        int channels, int height, int width, int pooled) {
  ELEMENT(i, n);
  if (mask[i] < 0) return;
  const int image = (int)regions[i / pooled / channels * 5];
  atomicAdd(&x_diff[(image * channels + i / pooled % channels) * height * width + mask[i]], y_diff[i]);
}

// Map (d * group + i) * group + j is for bin (i, j) of output d.
extern "C" __global__ void average_pool(int n, const real* maps, const real* regions, real* y, real scale, int images,
                                        int outputs, int height, int width, int group) {
  ELEMENT(i, n);
  const int maps_of_image = outputs * group * group;
  const real* region = regions + i / maps_of_image * 5;
  y[i] = NAN;
  if (!is_region(region, images)) return;
  int rows[2], columns[2];
  scaled_bin(region[2], region[4], scale, i / group % group, group, height, rows);
  scaled_bin(region[1], region[3], scale, i % group, group, width, columns);
  const real* plane = maps + ((int)region[0] * maps_of_image + i % maps_of_image) * height * width;
  real sum = 0;
  for (int h = rows[0]; h < rows[1]; ++h)
    for (int w = columns[0]; w < columns[1]; ++w) sum += plane[h * width + w];
  y[i] = sum / max(max(rows[1] - rows[0], 0) * max(columns[1] - columns[0], 0), 1);
}

extern "C" __global__ void average_backward(int n, const real* y_diff, const real* regions, real* x_diff, real scale,
                                            int images, int outputs, int height, int width, int group) {
  ELEMENT(i, n);
  const int maps_of_image = outputs * group * group;
  const real* region = regions + i / maps_of_image * 5;
  if (!is_region(region, images)) return;
  int rows[2], columns[2];
  scaled_bin(region[2], region[4], scale, i / group % group, group, height, rows);
  scaled_bin(region[1], region[3], scale, i % group, group, width, columns);
  real* plane = x_diff + ((int)region[0] * maps_of_image + i % maps_of_image) * height * width;
  const real share = y_diff[i] / max((rows[1] - rows[0]) * (columns[1] - columns[0]), 1);
  for (int h = rows[0]; h < rows[1]; ++h)
    for (int w = columns[0]; w < columns[1]; ++w) atomicAdd(&plane[h * width + w], share);
}
