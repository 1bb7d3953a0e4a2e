// Training of a network with one hidden layer of squares on pairs of numbers, on typed arrays: heldout.grokking.pair_networks.PairMLP,
// full batch, AdamW and the stable cross-entropy of heldout.losses, term by term. It imports nothing: its text also runs in a worker.

// `weights` holds left, right and unembed, each (modulus, hidden); `order` the pairs as a * modulus + b, the first `count` to train on.
export function pairTraining({ modulus, hidden, weights, order, count, learningRate, weightDecay }) {
  const [beta1, beta2, epsilon] = [0.9, 0.98, 1e-8];
  const size = modulus * hidden;
  const table = Float64Array.from(weights);
  const [gradient, first, second] = [0, 1, 2].map(() => new Float64Array(3 * size));
  const turned = new Float64Array(size); // unembed with hidden units outside, for the backward pass
  const turnedGradient = new Float64Array(size);
  // Four pairs at a time: what is read of the weights serves four.
  const [read, squares, logits] = [hidden, hidden, modulus].map((n) => [0, 1, 2, 3].map(() => new Float64Array(n)));
  let done = 0;

  function forward(from) {
    for (let k = 0; k < 4; k += 1) {
      const [z, h] = [read[k], squares[k]];
      const pair = order[Math.min(from + k, order.length - 1)];
      const left = Math.floor(pair / modulus) * hidden;
      const right = size + (pair % modulus) * hidden;
      for (let j = 0; j < hidden; j += 1) {
        z[j] = table[left + j] + table[right + j];
        h[j] = z[j] * z[j];
      }
    }
    const [h0, h1, h2, h3] = squares;
    for (let c = 0; c < modulus; c += 1) {
      const row = 2 * size + c * hidden;
      let [s0, s1, s2, s3] = [0, 0, 0, 0];
      for (let j = 0; j < hidden; j += 1) {
        const u = table[row + j];
        s0 += u * h0[j];
        s1 += u * h1[j];
        s2 += u * h2[j];
        s3 += u * h3[j];
      }
      logits[0][c] = s0;
      logits[1][c] = s1;
      logits[2][c] = s2;
      logits[3][c] = s3;
    }
  }

  const answer = (pair) => (Math.floor(pair / modulus) + (pair % modulus)) % modulus;

  // softplus(logsumexp of the other classes, less the target's logit); with `share`, `row` becomes the gradient times that share.
  function loss(row, target, share) {
    let largest = -Infinity;
    for (let c = 0; c < modulus; c += 1) if (c !== target && row[c] > largest) largest = row[c];
    let total = 0;
    for (let c = 0; c < modulus; c += 1) if (c !== target) total += Math.exp(row[c] - largest);
    const excess = Math.log(total) + (largest - row[target]);
    if (share) {
      const part = share / (1 + Math.exp(-excess));
      for (let c = 0; c < modulus; c += 1) row[c] = c === target ? -part : (Math.exp(row[c] - largest) / total) * part;
    }
    return Math.max(excess, 0) + Math.log1p(Math.exp(-Math.abs(excess)));
  }

  function backward(from) {
    const [h0, h1, h2, h3] = squares;
    const [d0, d1, d2, d3] = logits;
    const rows = [0, 1, 2, 3].map((k) => order[Math.min(from + k, order.length - 1)]);
    const left = rows.map((pair) => Math.floor(pair / modulus) * hidden);
    const right = rows.map((pair) => size + (pair % modulus) * hidden);
    for (let j = 0; j < hidden; j += 1) {
      const [a0, a1, a2, a3] = [h0[j], h1[j], h2[j], h3[j]];
      let [e0, e1, e2, e3] = [0, 0, 0, 0];
      const start = j * modulus;
      for (let c = 0; c < modulus; c += 1) {
        const u = turned[start + c];
        const [g0, g1, g2, g3] = [d0[c], d1[c], d2[c], d3[c]];
        e0 += g0 * u;
        e1 += g1 * u;
        e2 += g2 * u;
        e3 += g3 * u;
        turnedGradient[start + c] += g0 * a0 + g1 * a1 + g2 * a2 + g3 * a3;
      }
      const errors = [e0, e1, e2, e3];
      for (let k = 0; k < 4; k += 1) {
        const error = 2 * read[k][j] * errors[k];
        gradient[left[k] + j] += error;
        gradient[right[k] + j] += error;
      }
    }
  }

  function turn() {
    for (let c = 0; c < modulus; c += 1) for (let j = 0; j < hidden; j += 1) turned[j * modulus + c] = table[2 * size + c * hidden + j];
  }

  function update() {
    for (let c = 0; c < modulus; c += 1) for (let j = 0; j < hidden; j += 1) gradient[2 * size + c * hidden + j] = turnedGradient[j * modulus + c];
    done += 1;
    const rate = learningRate / (1 - beta1 ** done);
    const root = Math.sqrt(1 - beta2 ** done);
    const kept = 1 - learningRate * weightDecay;
    for (let i = 0; i < table.length; i += 1) {
      const g = gradient[i];
      first[i] = beta1 * first[i] + (1 - beta1) * g;
      second[i] = beta2 * second[i] + (1 - beta2) * g * g;
      table[i] = table[i] * kept - (rate * first[i]) / (Math.sqrt(second[i]) / root + epsilon);
    }
  }

  // One update on all training pairs; returns their mean loss before it, in nats.
  function step() {
    gradient.fill(0);
    turnedGradient.fill(0);
    turn();
    let sum = 0;
    for (let from = 0; from < count; from += 4) {
      forward(from);
      for (let k = 0; k < 4; k += 1) {
        if (from + k < count) sum += loss(logits[k], answer(order[from + k]), 1 / count);
        else logits[k].fill(0);
      }
      backward(from);
    }
    update();
    return sum / count;
  }

  // A hidden unit reads the first number through a function of it. Shares of that function's squared length at the frequencies
  // 1 .. (modulus - 1) / 2, the largest first, averaged over the units.
  function spectrum() {
    const half = (modulus - 1) / 2;
    const shares = Array(half).fill(0);
    const waves = Array.from({ length: modulus }, (_, i) => [Math.cos((2 * Math.PI * i) / modulus), Math.sin((2 * Math.PI * i) / modulus)]);
    for (let j = 0; j < hidden; j += 1) {
      const powers = shares.map((_, k) => {
        let [c, s] = [0, 0];
        for (let n = 0; n < modulus; n += 1) {
          const wave = waves[((k + 1) * n) % modulus];
          c += wave[0] * table[n * hidden + j];
          s += wave[1] * table[n * hidden + j];
        }
        return c * c + s * s;
      }).sort((a, b) => b - a);
      const total = powers.reduce((a, b) => a + b, 0);
      powers.forEach((power, k) => { shares[k] += power / total / hidden; });
    }
    return shares;
  }

  // Accuracy and mean loss on the training and the held-out pairs, the spectrum, and which pairs are answered correctly.
  function look() {
    const right = new Uint8Array(modulus * modulus);
    const hits = [0, 0];
    const losses = [0, 0];
    for (let from = 0; from < order.length; from += 4) {
      forward(from);
      for (let k = 0; k < 4 && from + k < order.length; k += 1) {
        const held = Number(from + k >= count);
        const target = answer(order[from + k]);
        let best = 0;
        for (let c = 1; c < modulus; c += 1) if (logits[k][c] > logits[k][best]) best = c;
        right[order[from + k]] = Number(best === target);
        hits[held] += Number(best === target);
        losses[held] += loss(logits[k], target, 0);
      }
    }
    const counts = [count, order.length - count];
    return { done, accuracy: hits.map((n, i) => n / counts[i]), loss: losses.map((sum, i) => sum / counts[i]), spectrum: spectrum(), right };
  }

  return { step, look };
}

// What the worker does with messages {setup?, run?: bool, until}: it trains while it is told to run, and posts a look now and then.
export function pairWorker(create, scope) {
  let training = null;
  let running = false;
  let waiting = false;
  let [done, until] = [0, 0];
  const every = () => (done < 100 ? 2 : done < 400 ? 5 : Math.max(10, Math.floor(done / 80)));
  function go() {
    waiting = false;
    if (!running || done >= until) return;
    for (let left = every(); left > 0 && done < until; left -= 1, done += 1) training.step();
    scope.postMessage(training.look());
    waiting = true;
    scope.setTimeout(go, 0);
  }
  scope.onmessage = ({ data }) => {
    if (data.setup) [training, done, until] = [create(data.setup), 0, data.until];
    running = data.run;
    if (running && !waiting) go();
  };
}
