"""Many runs: all cases of all scenarios, their verdicts and reports."""
