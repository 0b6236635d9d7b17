/* What users of DSPy and LiteLLM have set and written already: variables of their environment, and
 * names before the slash. */
#include "configs.h"

#include "json/json.h"
#include "lm/provider.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const variables[] = {
    "OPENAI_BASE_URL",     "OPENAI_API_BASE",    "OPENAI_API_KEY",       "HOSTED_VLLM_API_BASE",
    "HOSTED_VLLM_API_KEY", "OLLAMA_API_BASE",    "OLLAMA_HOST",          "OLLAMA_API_KEY",
    "ANTHROPIC_API_BASE",  "ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY",    "AZURE_API_BASE",
    "AZURE_API_KEY",       "GEMINI_API_BASE",    "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT",
    "GEMINI_API_KEY",      "GOOGLE_API_KEY",     "AZURE_AI_API_KEY",     "GROQ_API_KEY"};

/* set: "NAME=VALUE NAME=VALUE"; all others have a key of their own, or are not set. Each row is a
 * process of its own: a key is taken out of the environment when it is first asked for. */
typedef struct var_row {
    const char *set, *json, *base, *key; /* key: the variable it is from; NULL: none is sent */
} var_row;

static void var_check(const var_row *row)
{
    char text[512], *at = text, *word;
    dm_arena *a = dm_arena_new(0);
    dm_error err = {DM_OK, ""};
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        bool is_key = strstr(variables[i], "_KEY") != NULL;
        is_key ? setenv(variables[i], dm_arena_printf(a, "key-of-%s", variables[i]), 1)
               : unsetenv(variables[i]);
    }
    snprintf(text, sizeof text, "%s", row->set);
    while ((word = strsep(&at, " "))) {
        char *is = strchr(word, '=');
        if (!is)
            continue;
        *is = 0;
        is[1] ? setenv(word, is + 1, 1) : unsetenv(word);
    }
    char *key = NULL;
    dm_lm_config *c = config(a, row->json);
    dm_status st = dm_key_find(c, c->api_base[0], 0, &key, &err);
    const char *wanted = row->key ? dm_arena_printf(a, "key-of-%s", row->key) : "none";
    if (strcmp(c->api_base[0], row->base) != 0 || st != DM_OK ||
        strcmp(key ? key : "none", wanted) != 0) {
        fprintf(stderr, "%s | %s: %s, %s %s\n", row->set, row->json, c->api_base[0],
                key ? key : "none", err.text);
        _exit(1);
    }
    _exit(0);
}

Test(variables, variables_that_are_set_already)
{
    static const var_row rows[] = {
        {"OPENAI_API_BASE=http://gate:1/v1", "\"openai/x\"", "http://gate:1/v1", "OPENAI_API_KEY"},
        {"OPENAI_API_BASE=http://gate:1/v1 OPENAI_BASE_URL=http://url:2/v1", "\"openai/x\"",
         "http://url:2/v1", "OPENAI_API_KEY"},
        {"HOSTED_VLLM_API_BASE=http://node07:8000/v1", "\"hosted_vllm/x\"", "http://node07:8000/v1",
         "HOSTED_VLLM_API_KEY"},
        {"HOSTED_VLLM_API_BASE=http://node07:8000", "\"hosted_vllm/x\"", "http://node07:8000/v1",
         "HOSTED_VLLM_API_KEY"},
        {"HOSTED_VLLM_API_BASE=http://node07:8000 HOSTED_VLLM_API_KEY=", "\"hosted_vllm/x\"",
         "http://node07:8000/v1", NULL},
        {"OLLAMA_API_BASE=http://box:11434", "\"ollama_chat/x\"", "http://box:11434/v1",
         "OLLAMA_API_KEY"},
        {"OLLAMA_API_BASE=http://box:1 OLLAMA_HOST=other", "\"ollama_chat/x\"", "http://box:1/v1",
         "OLLAMA_API_KEY"},
        {"OLLAMA_HOST=box OLLAMA_API_KEY=", "\"ollama_chat/x\"", "http://box:11434/v1", NULL},
        {"OLLAMA_HOST=0.0.0.0 OLLAMA_API_KEY=", "\"ollama_chat/x\"", "http://127.0.0.1:11434/v1",
         NULL},
        {"OLLAMA_HOST=0.0.0.0:7000 OLLAMA_API_KEY=", "\"ollama_chat/x\"",
         "http://127.0.0.1:7000/v1", NULL},
        {"OLLAMA_HOST=:7000 OLLAMA_API_KEY=", "\"ollama_chat/x\"", "http://127.0.0.1:7000/v1",
         NULL},
        {"OLLAMA_HOST=[::]:7000 OLLAMA_API_KEY=", "\"ollama_chat/x\"", "http://127.0.0.1:7000/v1",
         NULL},
        {"OLLAMA_HOST=::1 OLLAMA_API_KEY=", "\"ollama_chat/x\"", "http://[::1]:11434/v1", NULL},
        {"OLLAMA_HOST=https://box OLLAMA_API_KEY=", "\"ollama_chat/x\"", "https://box/v1", NULL},
        {"OLLAMA_HOST=box:80/ollama/ OLLAMA_API_KEY=", "\"ollama_chat/x\"",
         "http://box:80/ollama/v1", NULL},
        {"", "{\"model\": \"ollama_chat/x\", \"api_base\": \"https://ollama.com\"}",
         "https://ollama.com/v1", "OLLAMA_API_KEY"},
        {"ANTHROPIC_API_BASE=http://gate:1", "\"anthropic/x\"", "http://gate:1/v1",
         "ANTHROPIC_API_KEY"},
        {"ANTHROPIC_API_BASE=http://gate:1 ANTHROPIC_BASE_URL=http://url:2", "\"anthropic/x\"",
         "http://gate:1/v1", "ANTHROPIC_API_KEY"},
        {"AZURE_OPENAI_ENDPOINT=https://r.openai.azure.com/", "\"azure/x\"",
         "https://r.openai.azure.com", "AZURE_API_KEY"},
        {"AZURE_API_BASE=https://r.openai.azure.com AZURE_API_KEY=", "\"azure/x\"",
         "https://r.openai.azure.com", "AZURE_OPENAI_API_KEY"},
        {"GEMINI_API_KEY=", "\"gemini/x\"",
         "https://generativelanguage.googleapis.com/v1beta/openai", "GOOGLE_API_KEY"},
        {"GEMINI_API_BASE=http://gate:1/openai", "\"gemini/x\"", "http://gate:1/openai",
         "GEMINI_API_KEY"},
        /* an address of one provider gets no key of another */
        {"OPENAI_BASE_URL=http://gate:1/v1",
         "{\"model\": \"hosted_vllm/x\", \"api_base\": \"http://gate:1/v1\"}", "http://gate:1/v1",
         NULL},
        {"HOSTED_VLLM_API_BASE=http://gate:1/v1",
         "{\"model\": \"openai/x\", \"api_base\": \"http://gate:1/v1\"}", "http://gate:1/v1", NULL},
        {"HOSTED_VLLM_API_BASE=http://gate:1/v1 HOSTED_VLLM_API_KEY=", "\"hosted_vllm/x\"",
         "http://gate:1/v1", NULL},
        {"OLLAMA_HOST=gate:1", "{\"model\": \"hosted_vllm/x\", \"api_base\": \"http://gate:1/v1\"}",
         "http://gate:1/v1", NULL},
        {"AZURE_API_BASE=http://gate:1",
         "{\"model\": \"gemini/x\", \"api_base\": \"http://gate:1\"}", "http://gate:1", NULL},
        {"HOSTED_VLLM_API_BASE=http://gate:1/v1",
         "{\"model\": \"hosted_vllm/x\", \"api_base\": \"http://gate:2/v1\"}", "http://gate:2/v1",
         NULL},
        /* a host's own key goes to it under other names, and no other key does */
        {"HOSTED_VLLM_API_BASE=",
         "{\"model\": \"hosted_vllm/x\", \"api_base\": "
         "\"https://api.openai.com/v1\"}",
         "https://api.openai.com/v1", "OPENAI_API_KEY"},
        {"", "{\"model\": \"anthropic/x\", \"api_base\": \"https://api.openai.com/v1\"}",
         "https://api.openai.com/v1", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int code = -1;
        pid_t pid = fork();
        if (pid == 0)
            var_check(&rows[i]);
        cr_assert(pid > 0 && waitpid(pid, &code, 0) == pid);
        cr_expect_eq(code, 0, "%s | %s", rows[i].set, rows[i].json);
    }
}

/* Each name that is written before the slash elsewhere: what to write here, in a sentence. */
Test(variables, providers_that_are_not_spoken)
{
    static const char *const rows[][3] = {
        {"groq/llama-3.3-70b-versatile", "openai/llama-3.3-70b-versatile",
         "\"https://api.groq.com/openai/v1\", \"api_key_env\": \"GROQ_API_KEY\""},
        {"openrouter/meta-llama/llama-3", "\"openai/meta-llama/llama-3\"", "OPENROUTER_API_KEY"},
        {"together_ai/x/y", "\"openai/x/y\"", "TOGETHERAI_API_KEY"},
        {"deepseek/deepseek-chat", "\"openai/deepseek-chat\"", "https://api.deepseek.com"},
        {"mistral/m", "https://api.mistral.ai/v1", "MISTRAL_API_KEY"},
        {"xai/grok-4", "https://api.x.ai/v1", "XAI_API_KEY"},
        {"cohere/command-r", "https://api.cohere.ai/compatibility/v1", "COHERE_API_KEY"},
        {"azure_ai/m", "azure/m", "AZURE_AI_API_KEY"},
        {"ollama/llama3.2:1b", "ollama_chat", "\"ollama_chat/llama3.2:1b\""},
        {"vllm/x", "\"hosted_vllm/x\"", ""},
        {"Groq/x", "\"openai/x\"", ""},
        {"google/gemini-2.5-flash", "\"gemini/gemini-2.5-flash\"", ""},
        {"bedrock/anthropic.claude-3", "gateway", "\"python/bedrock/anthropic.claude-3\""},
        {"vertex_ai/gemini-2.5-pro", "gateway", "\"python/vertex_ai/gemini-2.5-pro\""},
        {"sagemaker/x", "gateway", "python/sagemaker/x"},
        {"opena/x", "did you mean \"openai\"", "openai/NAME with api_base"},
        {"nobody/x", "there are openai", "openai/NAME with api_base"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dm_arena *a = dm_arena_new(0);
        dm_error err = {DM_OK, ""};
        const dm_at at = dm_at_root(dm_value_text(a, rows[i][0]), "job.json", DM_E_JOB);
        cr_expect_eq(dm_lm_config_read(a, &at, &err), NULL);
        cr_expect(err.status == DM_E_JOB && strstr(err.text, rows[i][1]) &&
                      strstr(err.text, rows[i][2]) && !strchr(err.text, '\n'),
                  "%s: %s", rows[i][0], err.text);
        dm_arena_free(a);
    }
}
