"""Judges of the twin: its unit tests and laws, run on the copies. Cheapest first."""

from hypothesis import HealthCheck, Phase, settings

from hil.campaign.mutate.suites import judges_of

settings.register_profile(
    "mutation",
    deadline=None,
    derandomize=True,
    max_examples=10,
    database=None,
    phases=[Phase.explicit, Phase.generate],  # a mutant's smallest example is of no use
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("mutation")

SLOW = frozenset({  # a second and more as plain Python
    "test_a_third_pair_answers_a_step_beside_the_others",
    "test_soc_beyond_the_table_is_bounded",
    "test_the_twin_agrees_with_an_independent_simulation_over_a_drive",
    "test_two_runs_give_the_same_bytes",
    "test_heat_between_neighbours_is_kept_across_blocks",
    "test_alike_cells_stay_alike_to_the_last_bit",
    "test_the_order_of_cells_that_do_not_touch_does_not_matter",
    "test_a_step_of_10_ms_and_one_of_1_s_agree_within_half_a_millivolt",
})  # fmt: skip
JUDGES = judges_of("test_twin_model", "test_twin_laws", without=SLOW)
