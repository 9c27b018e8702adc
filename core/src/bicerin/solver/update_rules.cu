// The rules of update_rules.py, each as one pass over memory: a thread completes the gradient of one weight, writes the
// histories and the update, and subtracts it.

__device__ inline real gradient(real data, real diff, real scale, real l2, real l1) {
  real g = scale * diff;
  // A decay of 0 leaves the data out, infinities and NaN included.
  if (l2 != 0) g += l2 * data;
  if (l1 != 0) g += data > 0 ? l1 : data < 0 ? -l1 : (real)0;
  return g;
}

extern "C" __global__ void sgd(int n, real* data, real* diff, real* history, real scale, real l2, real l1, real rate,
                               real momentum) {
  ELEMENT(i, n);
  const real update = momentum * history[i] + rate * gradient(data[i], diff[i], scale, l2, l1);
  history[i] = update;
  diff[i] = update;
  data[i] -= update;
}

extern "C" __global__ void nesterov(int n, real* data, real* diff, real* history, real scale, real l2, real l1,
                                    real rate, real momentum) {
  ELEMENT(i, n);
  const real before = history[i];
  const real now = momentum * before + rate * gradient(data[i], diff[i], scale, l2, l1);
  const real update = now + momentum * (now - before);
  history[i] = now;
  diff[i] = update;
  data[i] -= update;
}

extern "C" __global__ void adagrad(int n, real* data, real* diff, real* history, real scale, real l2, real l1,
                                   real rate, real delta) {
  ELEMENT(i, n);
  const real g = gradient(data[i], diff[i], scale, l2, l1);
  const real sum = history[i] + g * g;
  const real update = rate * (g / (sqrt(sum) + delta));
  history[i] = sum;
  diff[i] = update;
  data[i] -= update;
}

extern "C" __global__ void rmsprop(int n, real* data, real* diff, real* history, real scale, real l2, real l1,
                                   real rate, real delta, real decay, real share) {
  ELEMENT(i, n);
  const real g = gradient(data[i], diff[i], scale, l2, l1);
  const real mean = decay * history[i] + share * (g * g);
  const real update = rate * (g / (sqrt(mean) + delta));
  history[i] = mean;
  diff[i] = update;
  data[i] -= update;
}

extern "C" __global__ void adadelta(int n, real* data, real* diff, real* gradients, real* updates, real scale, real l2,
                                    real l1, real rate, real delta, real momentum, real share) {
  ELEMENT(i, n);
  const real g = gradient(data[i], diff[i], scale, l2, l1);
  const real mean = momentum * gradients[i] + share * (g * g);
  const real update = g * sqrt((updates[i] + delta) / (mean + delta));
  gradients[i] = mean;
  updates[i] = momentum * updates[i] + share * (update * update);
  diff[i] = rate * update;
  data[i] -= rate * update;
}

extern "C" __global__ void adam(int n, real* data, real* diff, real* first, real* second, real scale, real l2, real l1,
                                real rate, real delta, real beta1, real share1, real beta2, real share2) {
  ELEMENT(i, n);
  const real g = gradient(data[i], diff[i], scale, l2, l1);
  const real mean = beta1 * first[i] + share1 * g;
  const real square = beta2 * second[i] + share2 * (g * g);
  const real update = rate * (mean / (sqrt(square) + delta));
  first[i] = mean;
  second[i] = square;
  diff[i] = update;
  data[i] -= update;
}
