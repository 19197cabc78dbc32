/* compiled_model.json (the plan's printed twin, for people and tools; the runtime never reads it)
 * and compiled.meta (what made the artifact, and every task's schedule with its origin). */
#include "base/host.h"
#include "driver/stages.h"
#include "neo/neo_rt.h"

static const char *const storage_names[] = {"input", "output", "arena", "param"};

static json_t *describe_value(const neo_plan_value *value) {
  json_t *dims = json_array();
  for (int d = 0; d < value->rank; d++)
    json_array_append_new(dims, json_integer(value->dim[d]));
  return json_pack("{s:o, s:s, s:o, s:s, s:I, s:I}", "name", neo_json_name(value->name), "dtype",
                   neo_dtype_name((neo_dtype)value->dtype), "shape", dims, "storage",
                   storage_names[value->storage], "slot", (json_int_t)value->slot, "bytes",
                   (json_int_t)value->bytes);
}

static json_t *describe_step(const neo_plan_step *step) {
  static const char *const kinds[] = {"?", "launch", "copy", "runtime", "branch", "loop"};
  json_t *args = json_array(), *launches = json_array();
  for (uint32_t i = 0; i < step->n_args; i++)
    json_array_append_new(args, json_integer(step->arg[i]));
  for (uint32_t l = 0; l < step->n_launches; l++)
    json_array_append_new(launches,
                          json_pack("{s:i, s:I}", "function", (int)step->launch[l].function, "grid",
                                    (json_int_t)step->launch[l].grid));
  json_t *out = json_pack("{s:s, s:o, s:o, s:o, s:s, s:s}", "kind", kinds[step->kind], "name",
                          neo_json_name(step->name), "args", args, "launches", launches, "runtime",
                          step->runtime, "attributes", step->attributes);
  if (step->kind == NEO_PLAN_LOOP)
    json_object_set_new(out, "body_steps", json_integer(step->first));
  if (step->kind == NEO_PLAN_BRANCH) {
    json_object_set_new(out, "then_steps", json_integer(step->first));
    json_object_set_new(out, "else_steps", json_integer(step->second));
  }
  return out;
}

static json_t *numbers(uint32_t n, const uint32_t *value) {
  json_t *out = json_array();
  for (uint32_t i = 0; i < n; i++)
    json_array_append_new(out, json_integer(value[i]));
  return out;
}

/* What each shape has of its own. */
static void describe_program(json_t *out, const neo_plan *plan) {
  json_t *values = json_array(), *steps = json_array(), *bounded = json_array();
  for (uint32_t i = 0; i < plan->n_values; i++)
    json_array_append_new(values, describe_value(&plan->value[i]));
  for (uint32_t i = 0; i < plan->n_steps; i++)
    json_array_append_new(steps, describe_step(&plan->step[i]));
  for (uint32_t i = 0; i < plan->n_outputs; i++)
    if (plan->output_bounded[i])
      json_array_append_new(bounded, json_pack("{s:i, s:i, s:i}", "output", (int)i, "dim",
                                               (int)plan->output_bounded[i] - 1, "count",
                                               (int)plan->output_count[i]));
  json_object_set_new(out, "arena_bytes", json_integer(plan->arena_bytes));
  json_object_set_new(out, "scratch_bytes", json_integer(plan->scratch_bytes));
  json_object_set_new(out, "inputs", numbers(plan->n_inputs, plan->input));
  json_object_set_new(out, "outputs", numbers(plan->n_outputs, plan->output));
  json_object_set_new(out, "values", values);
  json_object_set_new(out, "steps", steps);
  json_object_set_new(out, "bounded_outputs", bounded);
  if (plan->rows)
    json_object_set_new(out, "rows",
                        json_pack("{s:I, s:I, s:o, s:o}", "most", (json_int_t)plan->rows, "least",
                                  (json_int_t)plan->rows_least, "inputs",
                                  numbers(plan->n_inputs, plan->input_rows), "outputs",
                                  numbers(plan->n_outputs, plan->output_rows)));
}

void neo_describe_model(neo_buf *out, const neo_plan *plan) {
  json_t *more = json_array();
  json_t *model =
      json_pack("{s:i, s:i, s:s, s:I}", "version",
                plan->n_more || plan->rows ? NEO_PLAN_VERSION : 3, "threads", (int)plan->threads,
                "target", plan->target, "params_bytes", (json_int_t)plan->params_bytes);
  describe_program(model, plan);
  for (uint32_t k = 0; k < plan->n_more; k++) {
    json_t *shape = json_object();
    describe_program(shape, &plan->more[k]);
    json_array_append_new(more, shape);
  }
  json_object_set_new(model, "further_shapes", more);
  neo_json_print(out, model, true);
  json_decref(model);
}

double neo_generated_share(const neo_project *project) {
  double generated = neo_project_flops(project), runtime = 0;
  for (int g = 0; g < project->partition.n_groups; g++) {
    const neo_group *group = &project->partition.group[g];
    for (int a = 0; a < group->n_args && group->kind == NEO_STEP_RUNTIME; a++)
      if (group->arg[a] != NEO_NO_VALUE)
        runtime += (double)neo_layout_elements(&(neo_layout){0},
                                               &project->graph->value[group->arg[a]].shape);
  }
  return runtime > 0 ? generated / (generated + runtime) : 1;
}

static json_t *describe_task(const neo_task *task, const neo_built *built) {
  neo_buf schedule = {0};
  neo_schedule_print(&schedule, &built->choice.schedule);
  json_t *out =
      json_pack("{s:o, s:s, s:s, s:s, s:i, s:f, s:s, s:s, s:f, s:s}", "name",
                neo_json_name(task->group->name), "op", task->group->op, "workload",
                task->group->key, "layouts", task->signature, "weight", task->weight, "flops",
                task->flops, "origin", neo_choice_name(built->choice.kind), "reason",
                built->choice.reason, "ns", built->choice.ns, "schedule", schedule.data);
  neo_buf_fini(&schedule);
  return out;
}

/* "x": "f32[3..4,224]" */
static void describe_input(json_t *out, const neo_member *member, int i) {
  const neo_graph *graph = member->project.graph;
  const neo_value *v = &graph->value[graph->input[i]];
  int rows = member->rows ? member->input_rows[i] : 0;
  neo_buf text = {0};
  neo_buf_printf(&text, "%s[", neo_dtype_name(v->dtype));
  for (int d = 0; d < v->shape.rank; d++) {
    neo_buf_text(&text, d ? "," : "");
    if (d == rows - 1 && member->rows_least < v->shape.dim[d])
      neo_buf_printf(&text, "%lld..", (long long)member->rows_least);
    neo_buf_printf(&text, "%lld", (long long)v->shape.dim[d]);
  }
  neo_buf_text(&text, "]");
  json_t *name = neo_json_name(v->name);
  json_object_set_new(out, json_string_value(name), json_string(text.data));
  json_decref(name);
  neo_buf_fini(&text);
}

static json_t *describe_shapes(const neo_family *family) {
  json_t *out = json_array();
  for (int k = 0; k < family->n; k++) {
    const neo_project *project = &family->member[k].project;
    json_t *inputs = json_object();
    for (int i = 0; i < project->graph->n_inputs; i++)
      describe_input(inputs, &family->member[k], i);
    json_array_append_new(
        out, json_pack("{s:o, s:f}", "inputs", inputs, "flops", neo_project_flops(project)));
  }
  return out;
}

void neo_describe_meta(neo_buf *out, const neo_family *family, const neo_built *built,
                       const neo_params *params, const char *codegen) {
  const neo_project *project = &family->member[0].project;
  json_t *tasks = json_array();
  int runtime_ops = 0;
  for (int t = 0; t < project->n_tasks; t++)
    json_array_append_new(tasks, describe_task(&project->task[t], &built[t]));
  for (int g = 0; g < project->partition.n_groups; g++)
    runtime_ops += project->partition.group[g].kind == NEO_STEP_RUNTIME;
  json_t *meta = json_pack(
      "{s:s, s:i, s:o, s:s, s:i, s:s, s:f, s:f, s:i, s:I, s:I, s:o, s:o}", "neo", NEO_RT_VERSION,
      "plan_version", family->n > 1 || family->member[0].rows ? NEO_PLAN_VERSION : 3, "model",
      neo_json_name(project->graph->name), "target", project->target_text, "threads",
      project->threads, "codegen", codegen, "flops", neo_project_flops(project), "generated_share",
      neo_generated_share(project), "runtime_operators", runtime_ops, "params_bytes",
      (json_int_t)params->data.size, "weights_bytes", (json_int_t)params->weights_bytes, "shapes",
      describe_shapes(family), "tasks", tasks);
  neo_json_print(out, meta, true);
  json_decref(meta);
}
