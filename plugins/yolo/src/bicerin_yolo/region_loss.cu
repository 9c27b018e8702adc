// D of RegionLoss, as in region_loss_kernels.py. Predictions x and delta are (images, count, numbers, height, width),
// objects (images, most, 5): class, x, y, width, height.

// As if no object taught anything; delta is zeros. A thread has a place of an anchor.
extern "C" __global__ void region_places(int n, const real* x, const real* objects, const real* anchors, real* delta,
                                         real thresh, real scale, int count, int numbers, int height, int width,
                                         int most) {
  ELEMENT(k, n);
  const int area = height * width, a = k / area % count, i = k % width, j = k / width % height;
  const long long start = (long long)(k / area) * numbers * area + k % area;
  const real* own = x + start;
  const real* truth = objects + (long long)(k / area / count) * most * 5;
  const real u = (i + sigmoid(own[0])) / width, v = (j + sigmoid(own[area])) / height;
  const real w = exp(own[2 * area]) * anchors[2 * a] / width, h = exp(own[3 * area]) * anchors[2 * a + 1] / height;
  real best = 0;
  for (int t = 0; t < most && truth[5 * t + 1] != 0; ++t) {
    const real* one = truth + 5 * t;
    best = max(best, overlap(u, v, w, h, one[1], one[2], one[3], one[4]));
  }
  const real p = sigmoid(own[4 * area]);
  if (!(best > thresh)) delta[start + 4 * area] = scale * p * (1 - p) * p;
}

// What the objects of one image change, one after the other. A thread has an image.
extern "C" __global__ void region_objects(int n, const real* x, const real* objects, const real* anchors, real* delta,
                                          bool bias_match, bool rescore, real object_scale, real class_scale,
                                          real coord_scale, int count, int numbers, int height, int width, int most) {
  ELEMENT(image, n);
  const int area = height * width;
  for (int t = 0; t < most; ++t) {
    const real* truth = objects + 5 * ((long long)image * most + t);
    if (truth[3] == 0) break;
    const int label = (int)truth[0];
    // The loss is NaN where an object is wrong.
    if (!(truth[1] >= 0 && truth[1] <= 1 && truth[2] >= 0 && truth[2] <= 1 && label >= 0 && label < numbers - 5)) break;
    const int i = min((int)(truth[1] * width), width - 1), j = min((int)(truth[2] * height), height - 1);
    const long long first = (long long)image * count * numbers * area + j * width + i;
    real best = 0;
    int chosen = 0;
    for (int a = 0; a < count; ++a) {
      const real* other = x + first + (long long)a * numbers * area;
      real w = anchors[2 * a] / width, h = anchors[2 * a + 1] / height;
      if (!bias_match) w *= exp(other[2 * area]), h *= exp(other[3 * area]);
      const real shared = overlap(0, 0, w, h, 0, 0, truth[3], truth[4]);
      if (shared > best) best = shared, chosen = a;
    }
    const real* v = x + first + (long long)chosen * numbers * area;
    real* d = delta + first + (long long)chosen * numbers * area;
    const real coordinates = rescore ? coord_scale : coord_scale * (2 - truth[3] * truth[4]);
    const real u = sigmoid(v[0]), o = sigmoid(v[area]), p = sigmoid(v[4 * area]);
    const real w = anchors[2 * chosen] / width, h = anchors[2 * chosen + 1] / height;
    d[0] = -coordinates * (truth[1] * width - i - u) * u * (1 - u);
    d[area] = -coordinates * (truth[2] * height - j - o) * o * (1 - o);
    d[2 * area] = -coordinates * (log(truth[3] / w) - v[2 * area]);
    d[3 * area] = -coordinates * (log(truth[4] / h) - v[3 * area]);
    real wanted = 1;
    if (rescore)
      wanted = overlap((i + u) / width, (j + o) / height, exp(v[2 * area]) * w, exp(v[3 * area]) * h, truth[1], truth[2],
                       truth[3], truth[4]);
    d[4 * area] = -object_scale * (wanted - p) * p * (1 - p);
    real greatest = v[5 * area], total = 0;
    for (int c = 5; c < numbers; ++c) greatest = max(greatest, v[c * area]);
    for (int c = 5; c < numbers; ++c) total += exp(v[c * area] - greatest);
    for (int c = 5; c < numbers; ++c)
      d[c * area] = -class_scale * ((c - 5 == label ? (real)1 : (real)0) - exp(v[c * area] - greatest) / total);
  }
}
