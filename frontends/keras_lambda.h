/* frontends/keras_lambda.h: Keras 2's TFOpLambda and SlicingOpLambda; see keras_lambda.c. */
#ifndef NEO_FRONTENDS_KERAS_LAMBDA_H
#define NEO_FRONTENDS_KERAS_LAMBDA_H

#include "frontends/keras.h"

bool keras_is_lambda(const char *class_name);
/* May this argument be a tensor, or a number in the place of one? */
bool keras_lambda_operand(const char *argument);
/* Makes the call one of a function of keras.ops; the new configuration is the caller's, to be let
 * go after the call was converted. */
json_t *keras_lambda_open(keras_call *c, const json_t *kwargs);
void keras_lambda_types(keras_call *c); /* of the outputs, after it was converted */

#endif
