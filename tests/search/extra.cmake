neo_fuzz_target(search search cost_model 3000)
