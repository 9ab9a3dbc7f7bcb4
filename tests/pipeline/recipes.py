"""A recipe so small that a whole run takes seconds."""

TINY = """
name: tiny
simulate:
  physics: {compile: false}
  micro: &micro
    ny: 16
    nx: 24
    time_step: 0.02
    n_times: 5
    n_train: 2
    n_valid: 1
    n_test: 1
    shard_size: 1
    microstructure: {n_pores: [1, 1], kinds: [ellipse], diameter: {low: 0.25, high: 0.3}, margin: 0.08, gap: 0.04}
  meso:
    <<: *micro
    ny: 24
    nx: 32
    n_test: 2
    microstructure: {n_pores: [1, 2], kinds: [ellipse], diameter: {low: 0.25, high: 0.3}, margin: 0.08, gap: 0.04}
micro:
  tokens: {patch: 8, width: 8, group_width: 8, encoder_blocks: 1, decoder_blocks: 1, transition_blocks: 1, trajectory_dim: 2}
  stages:
    - {name: reconstruction, objective: reconstruction, steps: 3, batch_size: 4}
    - {name: transition, objective: elbo, steps: 30, horizon: 2, batch_size: 2}
    - {name: rollout, objective: rollout_score, steps: 2, horizon: 2, batch_size: 1, members: 2}
meso:
  guide_rank: 2
  stages:
    - {name: means, objective: elbo, steps: 30, horizon: 2, batch_size: 2}
    - {name: rollout, objective: rollout_score, steps: 2, horizon: 2, batch_size: 1, members: 2}
parc:
  width: 4
  levels: 1
  stages:
    - {name: one_step, objective: rollout_error, steps: 30, horizon: 1, batch_size: 2}
    - {name: rollout, objective: rollout_error, steps: 2, horizon: 2, batch_size: 1}
rollout: {members: 4}
report: {animation: false}
"""
