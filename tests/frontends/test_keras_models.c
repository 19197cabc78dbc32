/* tests/frontends/test_keras_models.c: models saved by Keras 2 and 3 and by TF 1, in both file
 * forms, against Keras' own outputs. */
#include "tests/frontends/stored_case.h"

static const char *const cases[] = {
    "h5_lstm_text_k2",   "h5_mnist_cnn_tf1",  "h5_two_inputs_k2", "v3_lstm_text",
    "v3_mnist_seq",      "v3_two_inputs",     "v3_attention",     "h5_rnn_cells",
    "v3_rnn_cells",      "v3_rnn_masked",     "v3_rnn_masking",   "v3_bidir_states",
    "v3_convlstm",       "v3_transformer",    "v3_gqa",           "v3_attn_layers",
    "v3_ops_funcs",      "v3_nested",         "v3_category",      "v3_preproc",
    "v3_layernorm_axes", "v3_lambda_free",    "h5_tf_functions",  "h5_masked_k2",
    "h5_nested_k2",      "h5_transformer_k2", "h5_tf_more",       "v3_vit_k2",
    "v3_functions",      "h5_functions",      "v3_rare_layers",   "h5_rare_layers_k2",
    "v3_arguments",      "h5_arguments_k2",   "v3_lookup",        "v3_integers",
    "h5_integers_k2",    "v3_windows",        "h5_windows",       "v3_spectra",
    "h5_spectra",        "v3_elements",       "h5_elements",      "h5_windows_k2"};

static void computes_as_keras(void **state) {
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  stored_run(&ctx, "keras", *state);
}

int main(void) {
  struct CMUnitTest tests[NEO_COUNT(cases)];
  for (int i = 0; i < NEO_COUNT(cases); i++)
    tests[i] = (struct CMUnitTest){.name = cases[i],
                                   .test_func = computes_as_keras,
                                   .initial_state = (void *)(uintptr_t)cases[i]};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
