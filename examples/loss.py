"""The contrastive loss in a custom training loop: two encoders learn which rows belong together."""

import torch

from avsa_fast import ops

torch.manual_seed(0)
seen, heard = torch.nn.Linear(32, 16), torch.nn.Linear(48, 16)
log_temperature = torch.nn.Parameter(torch.tensor(0.07).log())  # the logarithm keeps it positive
optimiser = torch.optim.Adam([*seen.parameters(), *heard.parameters(), log_temperature], lr=1e-2)
to_picture, to_sound = torch.randn(8, 32), torch.randn(8, 48)  # two views of the same 8 latent causes
for _ in range(200):
    causes = torch.randn(256, 8)
    query, key = seen(causes @ to_picture), heard(causes @ to_sound)  # [N, D], row i pairs with row i
    loss = ops.info_nce(query, key, temperature=log_temperature.exp(), symmetric=True)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
print(f"loss {loss.item():.3f} after 200 steps, temperature {log_temperature.exp().item():.3f}")
