// Means over moved bins of regions, as in deformable_regions_kernels.py. A thread has one output; regions of an image
// overlap, and bins share offsets, so that gradients are added atomically.

struct Bin {
  long long plane, offset;
  real y, x, height, width;
};

struct Sample {
  bool inside;
  int before, after;
  real share;
};

// Where bin (i, j) of an output begins, its map, and the place of its offset to the right; that down is parts^2 on.
__device__ inline Bin bin_of(int index, const int* image, const real* frames, const real* offsets, int outputs,
                             int group, int height, int width, int classes, int parts, int samples) {
  const int j = index % group, i = index / group % group, d = index / group / group % outputs;
  const int r = index / group / group / outputs, c = d / (outputs / classes);
  const real* frame = frames + 4ll * r;
  Bin bin;
  bin.offset = ((2ll * (r * classes + c)) * parts + i * parts / group) * parts + j * parts / group;
  bin.y = frame[0] + frame[2] * ((real)i / group + offsets[bin.offset + parts * parts]);
  bin.x = frame[1] + frame[3] * ((real)j / group + offsets[bin.offset]);
  bin.height = frame[2];
  bin.width = frame[3];
  bin.plane = ((((long long)image[r] * outputs + d) * group + i) * group + j) * height * width;
  return bin;
}

__device__ inline Sample settle(real at, int size) {
  Sample sample = {at >= (real)-0.5 && at <= size - (real)0.5, 0, 0, 0};
  if (!sample.inside || at <= 0) return sample;
  sample.before = min((int)at, size - 1);
  sample.after = min(sample.before + 1, size - 1);
  if (sample.after > sample.before) sample.share = at - sample.before;
  return sample;
}

#define GIVEN outputs, group, height, width, classes, parts, samples

extern "C" __global__ void pool(int n, const real* maps, const int* image, const real* frames, const real* offsets,
                                real* y, real* numbers, int outputs, int group, int height, int width, int classes,
                                int parts, int samples) {
  ELEMENT(index, n);
  const Bin bin = bin_of(index, image, frames, offsets, GIVEN);
  const real* plane = maps + bin.plane;
  // An offset or a region that makes no sense gives what makes none.
  real total = 0 * (bin.y + bin.x);
  int number = 0;
  for (int a = 0; a < samples; ++a) {
    const Sample row = settle(bin.y + a * bin.height / (group * samples), height);
    for (int b = 0; row.inside && b < samples; ++b) {
      const Sample column = settle(bin.x + b * bin.width / (group * samples), width);
      if (!column.inside) continue;
      const real* upper = plane + row.before * width;
      const real* lower = plane + row.after * width;
      total += (1 - row.share) * ((1 - column.share) * upper[column.before] + column.share * upper[column.after]) +
               row.share * ((1 - column.share) * lower[column.before] + column.share * lower[column.after]);
      ++number;
    }
  }
  y[index] = total / max(number, 1);
  numbers[index] = number;
}

extern "C" __global__ void pool_backward(int n, const real* shares, const int* image, const real* frames,
                                         const real* offsets, real* x_diff, int outputs, int group, int height,
                                         int width, int classes, int parts, int samples) {
  ELEMENT(index, n);
  const Bin bin = bin_of(index, image, frames, offsets, GIVEN);
  real* plane = x_diff + bin.plane;
  for (int a = 0; a < samples; ++a) {
    const Sample row = settle(bin.y + a * bin.height / (group * samples), height);
    for (int b = 0; row.inside && b < samples; ++b) {
      const Sample column = settle(bin.x + b * bin.width / (group * samples), width);
      if (!column.inside) continue;
      const real upper = (1 - row.share) * shares[index], lower = row.share * shares[index];
      atomicAdd(&plane[row.before * width + column.before], upper * (1 - column.share));
      atomicAdd(&plane[row.before * width + column.after], upper * column.share);
      atomicAdd(&plane[row.after * width + column.before], lower * (1 - column.share));
      atomicAdd(&plane[row.after * width + column.after], lower * column.share);
    }
  }
}

extern "C" __global__ void pool_offset_gradient(int n, const real* shares, const real* maps, const int* image,
                                                const real* frames, const real* offsets, real* offset_diff,
                                                int outputs, int group, int height, int width, int classes,
                                                int parts, int samples) {
  ELEMENT(index, n);
  const Bin bin = bin_of(index, image, frames, offsets, GIVEN);
  const real* plane = maps + bin.plane;
  real by_y = 0, by_x = 0;
  for (int a = 0; a < samples; ++a) {
    const Sample row = settle(bin.y + a * bin.height / (group * samples), height);
    for (int b = 0; row.inside && b < samples; ++b) {
      const Sample column = settle(bin.x + b * bin.width / (group * samples), width);
      if (!column.inside) continue;
      const real* upper = plane + row.before * width;
      const real* lower = plane + row.after * width;
      by_x += (1 - row.share) * (upper[column.after] - upper[column.before]) +
              row.share * (lower[column.after] - lower[column.before]);
      by_y += (1 - column.share) * (lower[column.before] - upper[column.before]) +
              column.share * (lower[column.after] - upper[column.after]);
    }
  }
  atomicAdd(&offset_diff[bin.offset], by_x * shares[index] * bin.width);
  atomicAdd(&offset_diff[bin.offset + parts * parts], by_y * shares[index] * bin.height);
}
