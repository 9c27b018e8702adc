// Connectionist temporal classification in logarithms, as in ctc_loss_kernels.py.

__device__ inline real log_sum(real a, real b) {
  if (a < b) {
    const real smaller = a;
    a = b;
    b = smaller;
  }
  return b == log((real)0) ? a : a + log1p(exp(b - a));
}

// A block has a sequence, its threads the places of the label, and of a step the classes. `delta`, (steps or more,
// number, classes), holds the logarithms of the probabilities, and on return the gradient; `table` is (number, steps, 2
// most + 1) and `ends` (number, 2, 2 most + 1). Targets are (number, most), followed by -1.
extern "C" __global__ void ctc(const int* targets, real* table, real* ends, real* losses, real* delta, int steps,
                               int number, int classes, int most, int blank) {
  const int n = blockIdx.x, width = 2 * most + 1;
  const int* labels = targets + (long long)n * most;
  int length = 0, repeats = 0;
  for (; length < most && labels[length] >= 0; ++length)
    if (length && labels[length] == labels[length - 1]) ++repeats;
  delta += (long long)n * classes;
  table += (long long)n * steps * width;
  const long long step = (long long)number * classes;
  if (length + repeats > steps) {
    for (int t = 0; t < steps; ++t)
      for (int c = threadIdx.x; c < classes; c += BLOCK) delta[t * step + c] = 0;
    if (threadIdx.x == 0) losses[n] = 0;
    return;
  }
  const real never = log((real)0);
  const int places = 2 * length + 1;
  real whole = 0;
  for (int t = 0; t < steps; ++t) {
    real* alpha = table + (long long)t * width;
    const real* before = alpha - width;
    real peak = never;
    for (int s = threadIdx.x; s < places; s += BLOCK) {
      const int label = s % 2 ? labels[s / 2] : blank;
      real value = s < 2 ? (real)0 : never;
      if (t > 0) {
        value = before[s];
        if (s > 0) value = log_sum(value, before[s - 1]);
        if (s > 1 && s % 2 && label != labels[s / 2 - 1]) value = log_sum(value, before[s - 2]);
      }
      alpha[s] = value + delta[t * step + label];
      peak = max(peak, alpha[s]);
    }
    peak = block_max(peak);
    whole += peak;
    if (peak > never)
      for (int s = threadIdx.x; s < places; s += BLOCK) alpha[s] -= peak;
    __syncthreads();
  }
  const real* last = table + (long long)(steps - 1) * width;
  const real total = length ? log_sum(last[places - 1], last[places - 2]) : last[places - 1];
  if (threadIdx.x == 0) losses[n] = -(whole + total);
  real* beta = ends + (long long)n * 2 * width;
  real* earlier = beta + width;
  for (int s = threadIdx.x; s < places; s += BLOCK) beta[s] = s >= places - 2 ? (real)0 : never;
  __syncthreads();
  for (int t = steps - 1; t >= 0; --t) {
    real* own = delta + t * step;
    const real* alpha = table + (long long)t * width;
    real peak = never, highest = never;
    for (int s = threadIdx.x; s < places; s += BLOCK) {
      const int label = s % 2 ? labels[s / 2] : blank;
      real value = beta[s] + own[label];
      if (s + 1 < places) value = log_sum(value, beta[s + 1] + own[s % 2 ? blank : labels[s / 2]]);
      if (s % 2 && s + 2 < places && label != labels[s / 2 + 1])
        value = log_sum(value, beta[s + 2] + own[labels[s / 2 + 1]]);
      earlier[s] = value;
      peak = max(peak, value);
      highest = max(highest, alpha[s] + beta[s]);
    }
    peak = block_max(peak);
    highest = block_max(highest);
    real sum = 0;
    for (int s = threadIdx.x; s < places; s += BLOCK) {
      if (peak > never) earlier[s] -= peak;
      if (highest > never) sum += exp(alpha[s] + beta[s] - highest);
    }
    sum = block_sum(sum);
    for (int c = threadIdx.x; c < classes; c += BLOCK) {
      real share = 0;
      if (highest > never) {
        for (int s = c == blank ? 0 : 1; s < places; s += 2)
          if (c == blank || labels[s / 2] == c) share += exp(alpha[s] + beta[s] - highest);
        share /= sum;
      }
      own[c] = exp(own[c]) - share;
    }
    __syncthreads();
    real* later = beta;
    beta = earlier;
    earlier = later;
  }
}
