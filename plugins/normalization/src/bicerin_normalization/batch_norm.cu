// BatchNorm of (N, channels, pixels). A block sums over a channel; elsewhere a thread has one element.

// mean, variance and inverse = 1 / sqrt(variance + eps) of a batch; block c has channel c.
extern "C" __global__ void batch_statistics(const real* x, real* mean, real* variance, real* inverse, int num,
                                            int channels, int pixels, real eps) {
  const int c = blockIdx.x, count = num * pixels;
  real sum = 0;
  for (int i = threadIdx.x; i < count; i += BLOCK) sum += x[(i / pixels * channels + c) * pixels + i % pixels];
  const real center = block_sum(sum) / count;
  real squares = 0;
  for (int i = threadIdx.x; i < count; i += BLOCK) {
    const real distance = x[(i / pixels * channels + c) * pixels + i % pixels] - center;
    squares += distance * distance;
  }
  const real spread = block_sum(squares) / count;
  if (threadIdx.x == 0) {
    mean[c] = center;
    variance[c] = spread;
    inverse[c] = 1 / sqrt(spread + eps);
  }
}

// The layer's blobs take in a batch: each is `fraction` of what it was, and what is new.
extern "C" __global__ void accumulate(int n, const real* mean, const real* variance, real fraction, real unbiased,
                                      real* means, real* variances, real* weight) {
  ELEMENT(c, n);
  means[c] = fraction * means[c] + mean[c];
  variances[c] = fraction * variances[c] + unbiased * variance[c];
  if (c == 0) weight[0] = fraction * weight[0] + 1;
}

extern "C" __global__ void global_statistics(int n, const real* means, const real* variances, const real* weight,
                                             real* mean, real* inverse, real eps) {
  ELEMENT(c, n);
  const real factor = weight[0] != 0 ? 1 / weight[0] : (real)0;
  mean[c] = factor * means[c];
  inverse[c] = 1 / sqrt(factor * variances[c] + eps);
}

// means, (2, channels): of y_diff and of y_diff * y over a channel, for y = (x - mean) * inverse, or for y = x if x is
// `normalized` already.
extern "C" __global__ void gradient_means(const real* x, const real* y_diff, const real* mean, const real* inverse,
                                          bool normalized, real* means, int num, int channels, int pixels) {
  const int c = blockIdx.x, count = num * pixels;
  real sum = 0, products = 0;
  for (int i = threadIdx.x; i < count; i += BLOCK) {
    const int at = (i / pixels * channels + c) * pixels + i % pixels;
    sum += y_diff[at];
    products += y_diff[at] * (normalized ? x[at] : (x[at] - mean[c]) * inverse[c]);
  }
  sum = block_sum(sum);
  products = block_sum(products);
  if (threadIdx.x == 0) {
    means[c] = sum / count;
    means[channels + c] = products / count;
  }
}

extern "C" __global__ void batch_backward(int n, const real* x, const real* y_diff, const real* mean,
                                          const real* inverse, bool normalized, const real* means, real* x_diff,
                                          int channels, int pixels) {
  ELEMENT(i, n);
  const int c = i / pixels % channels;
  const real y = normalized ? x[i] : (x[i] - mean[c]) * inverse[c];
  x_diff[i] = (y_diff[i] - means[c] - means[channels + c] * y) * inverse[c];
}
