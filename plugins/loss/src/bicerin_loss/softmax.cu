// Softmax over the classes of (outer, classes, inner), and the losses taken from it. Where inner is 1, a block has a row
// of classes; otherwise a thread has a position and goes through its classes.

extern "C" __global__ void row_softmax(const real* x, real* y, int classes) {
  x += (long long)blockIdx.x * classes;
  y += (long long)blockIdx.x * classes;
  real top = x[0];
  for (int k = threadIdx.x; k < classes; k += BLOCK) top = max(top, x[k]);
  top = block_max(top);
  real total = 0;
  for (int k = threadIdx.x; k < classes; k += BLOCK) {
    y[k] = exp(x[k] - top);
    total += y[k];
  }
  total = block_sum(total);
  for (int k = threadIdx.x; k < classes; k += BLOCK) y[k] /= total;
}

extern "C" __global__ void column_softmax(int n, const real* x, real* y, int classes, int inner) {
  ELEMENT(i, n);
  const int first = i / inner * classes * inner + i % inner;
  real top = x[first];
  for (int k = 1; k < classes; ++k) top = max(top, x[first + k * inner]);
  real total = 0;
  for (int k = 0; k < classes; ++k) {
    const real value = exp(x[first + k * inner] - top);
    y[first + k * inner] = value;
    total += value;
  }
  for (int k = 0; k < classes; ++k) y[first + k * inner] /= total;
}

extern "C" __global__ void row_backward(const real* y, const real* y_diff, real* x_diff, int classes) {
  const long long row = (long long)blockIdx.x * classes;
  real total = 0;
  for (int k = threadIdx.x; k < classes; k += BLOCK) total += y[row + k] * y_diff[row + k];
  total = block_sum(total);
  for (int k = threadIdx.x; k < classes; k += BLOCK) x_diff[row + k] = y[row + k] * (y_diff[row + k] - total);
}

extern "C" __global__ void column_backward(int n, const real* y, const real* y_diff, real* x_diff, int classes,
                                           int inner) {
  ELEMENT(i, n);
  const int first = i / inner * classes * inner + i % inner;
  real total = 0;
  for (int k = 0; k < classes; ++k) total += y[first + k * inner] * y_diff[first + k * inner];
  for (int k = 0; k < classes; ++k) {
    const int at = first + k * inner;
    x_diff[at] = y[at] * (y_diff[at] - total);
  }
}

// -log(max(p, least)) of each label, 0 where it is -1.
extern "C" __global__ void label_losses(int n, const real* probability, const int* labels, real* losses, real least,
                                        int classes, int inner) {
  ELEMENT(i, n);
  const int label = labels[i];
  const real p = label < 0 ? (real)1 : probability[(i / inner * classes + label) * inner + i % inner];
  // Not max(), which would make NaN `least`.
  losses[i] = -log(p < least ? least : p);
}

// (p - 1 at the label, p elsewhere) * scale, and 0 where the label is -1.
extern "C" __global__ void loss_backward(int n, const real* probability, const int* labels, const real* scale,
                                         real* diff, int classes, int inner) {
  ELEMENT(i, n);
  const int label = labels[i / inner / classes * inner + i % inner];
  const real right = label == i / inner % classes ? 1 : 0;
  // Not times 0: a probability may be NaN.
  diff[i] = label < 0 ? (real)0 : (probability[i] - right) * scale[0];
}
