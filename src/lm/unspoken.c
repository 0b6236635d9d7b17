/* Providers that DSPy's users write before the slash and that no class here speaks: what to write
 * instead. Addresses and variables are LiteLLM's, which DSPy asks. */
#include "base/utf8.h"
#include "lm/provider.h"

#include <string.h>

typedef struct unspoken {
    const char *name;
    const char *base; /* where it speaks OpenAI's chat completions */
    const char *key;  /* the variable that its users have their key in; "": none is needed */
} unspoken;

static const unspoken as_openai[] = {
    {"groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY"},
    {"deepseek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"},
    {"mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY"},
    {"codestral", "https://codestral.mistral.ai/v1", "CODESTRAL_API_KEY"},
    {"xai", "https://api.x.ai/v1", "XAI_API_KEY"},
    {"together_ai", "https://api.together.xyz/v1", "TOGETHERAI_API_KEY"},
    {"openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"},
    {"fireworks_ai", "https://api.fireworks.ai/inference/v1", "FIREWORKS_AI_API_KEY"},
    {"perplexity", "https://api.perplexity.ai", "PERPLEXITYAI_API_KEY"},
    {"deepinfra", "https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"},
    {"anyscale", "https://api.endpoints.anyscale.com/v1", "ANYSCALE_API_KEY"},
    {"cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"},
    {"sambanova", "https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY"},
    {"nvidia_nim", "https://integrate.api.nvidia.com/v1", "NVIDIA_NIM_API_KEY"},
    {"nebius", "https://api.studio.nebius.ai/v1", "NEBIUS_API_KEY"},
    {"novita", "https://api.novita.ai/v3/openai", "NOVITA_API_KEY"},
    {"hyperbolic", "https://api.hyperbolic.xyz/v1", "HYPERBOLIC_API_KEY"},
    {"lambda_ai", "https://api.lambda.ai/v1", "LAMBDA_API_KEY"},
    {"moonshot", "https://api.moonshot.ai/v1", "MOONSHOT_API_KEY"},
    {"dashscope", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "DASHSCOPE_API_KEY"},
    {"volcengine", "https://ark.cn-beijing.volces.com/api/v3", "VOLCENGINE_API_KEY"},
    {"cohere", "https://api.cohere.ai/compatibility/v1", "COHERE_API_KEY"},
    {"cohere_chat", "https://api.cohere.ai/compatibility/v1", "COHERE_API_KEY"},
    {"huggingface", "https://router.huggingface.co/v1", "HF_TOKEN"},
    {"meta_llama", "https://api.llama.com/compat/v1", "LLAMA_API_KEY"},
    {"github", "https://models.github.ai/inference", "GITHUB_API_KEY"},
    {"vercel_ai_gateway", "https://ai-gateway.vercel.sh/v1", "VERCEL_AI_GATEWAY_API_KEY"},
    {"lm_studio", "http://127.0.0.1:1234/v1", ""},
    {"llamafile", "http://127.0.0.1:8080/v1", ""},
    {"litellm_proxy", "http://HOST:4000/v1", "LITELLM_PROXY_API_KEY"},
    {"databricks", "https://WORKSPACE/serving-endpoints", "DATABRICKS_API_KEY"},
};

/* Names that mean one of ours. */
static const char *const others[][2] = {{"ollama", "ollama_chat"},
                                        {"vllm", "hosted_vllm"},
                                        {"sglang", "hosted_vllm"},
                                        {"azure_openai", "azure"},
                                        {"google", "gemini"},
                                        {"google_ai_studio", "gemini"},
                                        {"claude", "anthropic"},
                                        {"custom_openai", "openai"},
                                        {"openai_like", "openai"},
                                        {"llamacpp", "hosted_vllm"},
                                        {"llama_cpp", "hosted_vllm"},
                                        {"openai_compatible", "openai"},
                                        {"openai_chat", "openai"},
                                        {"azure_text", "azure"},
                                        {"text-completion-openai", "openai"},
                                        {"openai-compatible", "openai"}};

/* Those that want requests signed, or have another form: LiteLLM knows them. */
static const char *const by_dspy[] = {
    "bedrock",        "bedrock_converse", "vertex_ai",    "vertex_ai_beta", "sagemaker",
    "sagemaker_chat", "watsonx",          "watsonx_text", "replicate",      "oci",
    "snowflake",      "predibase",        "ai21",         "ai21_chat",      "nlp_cloud",
    "aleph_alpha",    "petals",           "cloudflare",   "gigachat",       "github_copilot",
    "clarifai",       "triton",           "palm",         "xinference"};

static const char *as_openai_text(dm_arena *a, const unspoken *u, dm_str model)
{
    return dm_arena_printf(
        a,
        "%s is asked as a server that speaks OpenAI's chat completions: {\"model\": "
        "\"openai/%.*s\", \"api_base\": \"%s\"%s%s%s}",
        u->name, DM_STR_ARG(model), u->base, *u->key ? ", \"api_key_env\": \"" : "", u->key,
        *u->key ? "\"" : "");
}

static const char *none_text(dm_arena *a, dm_str name)
{
    const char **names = dm_arena_alloc_n(a, dm_n_providers, sizeof *names);
    dm_buf b;
    dm_buf_init(&b, 1000);
    for (size_t i = 0; i < dm_n_providers; i++) {
        names[i] = dm_providers[i]->name;
        const char *comma = i == 0 ? "" : i + 1 == dm_n_providers ? " and " : ", ";
        dm_buf_printf(&b, "%s%s", comma, names[i]);
    }
    const char *near = dm_nearest(dm_arena_string(a, name.p, name.n), names, dm_n_providers);
    const char *text = dm_arena_printf(
        a,
        "no provider is called \"%.*s\"%s%s%s; there are %s; any server that speaks OpenAI's chat "
        "completions is openai/NAME with api_base",
        DM_STR_ARG(name), near ? ", did you mean \"" : "", near ? near : "", near ? "\"" : "",
        b.data);
    dm_buf_free(&b);
    return text;
}

const char *dm_no_provider(dm_arena *a, dm_str name, dm_str model)
{
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (dm_str_is_any_case(name, others[i][0]))
            return dm_arena_printf(a, "%s is called %s here: \"%s/%.*s\"", others[i][0],
                                   others[i][1], others[i][1], DM_STR_ARG(model));
    for (size_t i = 0; i < sizeof as_openai / sizeof *as_openai; i++)
        if (dm_str_is_any_case(name, as_openai[i].name))
            return as_openai_text(a, &as_openai[i], model);
    if (dm_str_is_any_case(name, "azure_ai"))
        return dm_arena_printf(
            a,
            "azure_ai is asked at its address for OpenAI's models: {\"model\": \"azure/%.*s\", "
            "\"api_base\": \"https://RESOURCE.services.ai.azure.com/openai/v1\", \"api_key_env\": "
            "\"AZURE_AI_API_KEY\"}",
            DM_STR_ARG(model));
    for (size_t i = 0; i < sizeof by_dspy / sizeof *by_dspy; i++)
        if (dm_str_is_any_case(name, by_dspy[i]))
            return dm_arena_printf(
                a,
                "dspy-mpi has no client for %s: ask a gateway that speaks OpenAI's chat "
                "completions "
                "as openai/NAME with api_base, or let DSPy ask it from a program in Python, as "
                "\"python/%s/%.*s\"",
                by_dspy[i], by_dspy[i], DM_STR_ARG(model));
    return none_text(a, name);
}
