"""Makes test/goldens/losses.json: loss values and gradients by PyTorch in float64.

    python scripts/goldens/losses.py test/goldens/losses.json

The formulas follow the papers and, where they say more, their authors' code; nothing here is shared with the product.
"""
import json
import sys

import torch
import torch.nn.functional as F

torch.manual_seed(2107)
torch.set_default_dtype(torch.float64)


def inputs(batch, classes, scale):
    """Multiples of 1/256, which float32 holds exactly."""
    draw = lambda: torch.round(scale * torch.randn(batch, classes) * 256) / 256
    return draw(), draw(), torch.randint(0, classes, (batch,))


def cross_entropy(s, t, y, T, smoothing=0.0):
    return F.cross_entropy(s, y, label_smoothing=smoothing)


def kl(s, t, y, T):
    """Hinton et al. 2015: KL of the softened distributions, batch mean, times T squared."""
    return F.kl_div(F.log_softmax(s / T, 1), F.softmax(t / T, 1), reduction='batchmean') * T**2


def kl_seed_004(s, t, y, T):
    """nn.KLDivLoss() as it comes: the mean over all elements."""
    return F.kl_div(F.log_softmax(s / T, 1), F.softmax(t / T, 1), reduction='mean')


def mse_logits(s, t, y, T):
    return F.mse_loss(s, t)


def mse_probabilities(s, t, y, T):
    return F.mse_loss(F.softmax(s / T, 1), F.softmax(t / T, 1))


def soft_cross_entropy(s, t, y, T):
    return F.cross_entropy(s / T, F.softmax(t / T, 1)) * T**2


def dkd(s, t, y, T, alpha, beta):
    """Zhao et al. 2022: the target class against the rest, and the rest among itself, the target masked by -1000."""
    target = F.one_hot(y, s.shape[1]).double()
    q, p = F.softmax(s / T, 1), F.softmax(t / T, 1)
    two = lambda x: torch.stack([(x * target).sum(1), (x * (1 - target)).sum(1)], 1)
    tckd = F.kl_div(two(q).log(), two(p), reduction='sum') * T**2 / len(y)
    others_p = F.softmax(t / T - 1000 * target, 1)
    others_q = F.log_softmax(s / T - 1000 * target, 1)
    nckd = F.kl_div(others_q, others_p, reduction='sum') * T**2 / len(y)
    return alpha * tckd + beta * nckd


def dist(s, t, y, T, beta, gamma):
    """Huang et al. 2022: 1 - Pearson's correlation along the classes of a sample, and along the samples of a class."""
    q, p = F.softmax(s / T, 1), F.softmax(t / T, 1)

    def relation(a, b):
        a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
        return 1 - ((a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1) + 1e-8)).mean()

    return T**2 * (beta * relation(q, p) + gamma * relation(q.t(), p.t()))


TERMS = [
    ({'type': 'cross-entropy'}, cross_entropy, {}),
    ({'type': 'cross-entropy', 'smoothing': 0.1}, cross_entropy, {'smoothing': 0.1}),
    ({'type': 'kl'}, kl, {}),
    ({'type': 'kl', 'convention': 'seed-004'}, kl_seed_004, {}),
    ({'type': 'mse-logits'}, mse_logits, {}),
    ({'type': 'mse-probabilities'}, mse_probabilities, {}),
    ({'type': 'soft-cross-entropy'}, soft_cross_entropy, {}),
    ({'type': 'dkd', 'alpha': 1, 'beta': 8}, dkd, {'alpha': 1, 'beta': 8}),
    ({'type': 'dkd', 'alpha': 0.5, 'beta': 2}, dkd, {'alpha': 0.5, 'beta': 2}),
    ({'type': 'dist', 'beta': 2, 'gamma': 2}, dist, {'beta': 2, 'gamma': 2}),
    ({'type': 'dist', 'beta': 1, 'gamma': 0.5}, dist, {'beta': 1, 'gamma': 0.5}),
]


def numbers(tensor):
    return [float(f'{value:.9g}') for value in tensor.flatten().tolist()]


def seed_004(s, t, y):
    """That document's class, as it stands: alpha 0.25, temperature 1."""
    return 0.75 * F.cross_entropy(s, y) + 0.25 * F.kl_div(F.log_softmax(s, 1), F.softmax(t, 1), reduction='mean')


def weighted(s, y):
    """Class weights on targets that are shares of the classes, as mixup makes them."""
    batch, classes = s.shape
    other = torch.randint(0, classes, (batch,))
    share = torch.round(torch.rand(batch) * 256) / 256
    weights = torch.round((0.25 + 3 * torch.rand(classes)) * 256) / 256
    one_hot = lambda labels: F.one_hot(labels, classes).double()
    targets = share[:, None] * one_hot(y) + (1 - share[:, None]) * one_hot(other)
    cases = []
    for smoothing in [0.0, 0.1]:
        loss = F.cross_entropy(s, targets, weight=weights, label_smoothing=smoothing)
        gradient, = torch.autograd.grad(loss, s)
        cases.append({'smoothing': smoothing, 'loss': numbers(loss)[0], 'gradient': numbers(gradient)})
    return {'targets': numbers(targets), 'weights': numbers(weights), 'cases': cases}


def main(path):
    batches = []
    for batch, classes, scale in [(6, 5, 2.0), (4, 2, 3.0)]:
        s, t, y = inputs(batch, classes, scale)
        s.requires_grad_()
        cases = []
        for term, function, parameters in TERMS:
            ignores_temperature = term['type'] in ('cross-entropy', 'mse-logits')
            for T in [1] if ignores_temperature else [1, 2, 4, 8]:
                loss = function(s, t, y, T, **parameters)
                gradient, = torch.autograd.grad(loss, s)
                cases.append({'term': term, 'T': T, 'loss': numbers(loss)[0], 'gradient': numbers(gradient)})
        loss = seed_004(s, t, y)
        gradient, = torch.autograd.grad(loss, s)
        batches.append({
            'batch': batch, 'classes': classes,
            'student': numbers(s.detach()), 'teacher': numbers(t), 'labels': y.tolist(),
            'cases': cases,
            'seed004': {'loss': numbers(loss)[0], 'gradient': numbers(gradient)},
        })
    # After everything else is drawn, so that nothing of it changes.
    for batch in batches:
        s = torch.tensor(batch['student']).reshape(batch['batch'], batch['classes']).requires_grad_()
        batch['weighted'] = weighted(s, torch.tensor(batch['labels']))
    with open(path, 'w') as file:
        json.dump({'madeBy': 'scripts/goldens/losses.py', 'torch': torch.__version__, 'batches': batches}, file)
        file.write('\n')


main(sys.argv[1])
