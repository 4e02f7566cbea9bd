// What a client does with the server, whichever version of the SDK it is built on: the main road, and what there is
// beside tools. `play` takes a connected client with the methods of the SDK, which has checked every result against
// its tool's output schema, and who answers for the person. Anything unexpected throws. In the end it prints, as a line
// of JSON, which features were seen to work.

export const SERVER = ["--emulator", "--confirm", "require", "--log", "warn"];

/** How to reach the server, where it is, and which era to speak: from the command line. */
export function target() {
  const [transport, place, mode] = process.argv.slice(2);
  return { transport, place, mode: mode ?? "legacy" };
}

/** Whoever the server has the client ask. */
export class Person {
  says = false;
  asked = [];

  answer(question) {
    this.asked.push(question.params.message);
    return this.says ? { action: "accept", content: {} } : { action: "decline" };
  }
}

function expect(holds, what) {
  if (!holds) throw new Error(JSON.stringify(what));
}

export async function play({ client, call, name, revision, person }) {
  const { transport } = target();
  const tools = (await client.listTools()).tools;
  expect(tools.length === 10, tools);

  const ask = async (tool, args, options) => {
    const answer = await call({ name: tool, arguments: args }, options);
    const data = answer.structuredContent;
    expect(data.ok === !answer.isError && answer.content.filter((one) => one.type === "text").length >= 2, answer);
    return { ...data, content: answer.content };
  };

  const { deployments } = await ask("list_deployments", {});
  const template = deployments.find((one) => one.name === "text-to-image");
  const loaded = await ask("get_deployment", { deployment_id: template.id, include_payload: true });
  const node = loaded.payload_summary.workflow_node_summary.find((one) => one.class_type === "CLIPTextEncode");
  const created = await ask("create_deployment", { name: "from-a-client", workflow_id: template.workflow_id, workflow_version: "v1" });
  const deployment_id = created.deployment.id;
  const updated = await ask("update_deployment", { deployment_id, max_instances: 2 });
  expect(updated.deployment.max_instances === 2, updated);

  const progress = [];
  const onprogress = (step) => progress.push(step.message);
  const overrides = { [node.node_id]: { inputs: { text: "a harbour in the morning" } } };
  const made = await ask("submit_request", { deployment_id, overrides, wait_for_completion: true, timeout_seconds: 50 }, { onprogress });
  expect(made.state === "succeeded" && progress.length > 0, made);
  const links = made.content.filter((one) => one.type === "resource_link").map((one) => one.uri);
  expect(links.length > 0 && links.every((link, at) => link === made.output_urls[at].url), made);
  for (const link of links) expect((await fetch(link)).headers.get("content-type") === "image/png", link);

  const ids = { deployment_id, request_id: made.request_id };
  const status = await ask("get_request_status", ids);
  expect(status.finished, status);
  expect((await ask("get_request_result", ids)).result.status === "succeeded", ids);
  const { instance_id } = status.status;
  const proxied = { deployment_id, instance_id, comfy_backend_path: "api/free", request_body: { unload_models: true } };
  expect((await ask("call_instance_proxy", proxied)).response === null, proxied);
  const second = await ask("submit_request", { deployment_id });
  expect((await ask("cancel_request", { deployment_id, request_id: second.request_id })).accepted, second);
  const wrong = await ask("update_deployment", { deployment_id, max_instance: 2 });
  expect(wrong.kind === "invalid_argument" && wrong.invalid_arguments[0].argument === "max_instance", wrong);

  const { resources } = await client.listResources();
  expect(resources.some((one) => one.uri === "runcomfy://deployments"), resources);
  const read = await client.readResource({ uri: `runcomfy://deployments/${template.id}` });
  expect(JSON.parse(read.contents[0].text).deployment.id === template.id, read);
  expect((await client.listResourceTemplates()).resourceTemplates.length === 4, "templates");
  const { prompts } = await client.listPrompts();
  expect(prompts.length === 4, prompts);
  const prompt = await client.getPrompt({ name: "generate", arguments: { deployment_id: template.id, wish: "a lighthouse" } });
  expect(prompt.messages[0].content.text.includes(template.id), prompt);
  const completed = await client.complete({
    ref: { type: "ref/prompt", name: "generate" },
    argument: { name: "deployment_id", value: "text-to-image" },
  });
  expect(completed.completion.values.includes(template.id), completed);

  // A client that gives up on its wait leaves the run alone.
  const giveUp = new AbortController();
  let request_id;
  const submitted = ({ message }) => {
    const [said, , id] = message.split(" ");
    if (said === "submitted") {
      request_id = id;
      giveUp.abort();
    }
  };
  const wait = { name: "submit_request", arguments: { deployment_id, wait_for_completion: true } };
  const waited = await call(wait, { onprogress: submitted, signal: giveUp.signal }).then(
    () => "answered",
    () => "given up",
  );
  expect(waited === "given up" && request_id, waited);
  const ended = await ask("get_request_result", { deployment_id, request_id, wait_seconds: 45 });
  expect(ended.state === "succeeded", ended);

  const canAsk = transport === "stdio" || revision >= "2026-07-28";
  const refused = await ask("delete_deployment", { deployment_id });
  expect(refused.kind === (canAsk ? "declined" : "confirmation_required"), refused);
  expect(person.asked.length === (canAsk ? 1 : 0), person.asked);
  person.says = true;
  const confirm = canAsk ? {} : { confirm: true };
  const deleted = await ask("delete_deployment", { deployment_id, ...confirm });
  expect(deleted.ok, deleted);

  const features = {
    "ten tools": "yes",
    "output schemas": "yes",
    progress: "yes",
    "picture links": "yes",
    "bad arguments": "yes",
    resources: "yes",
    prompts: "yes",
    completions: "yes",
    "asks before deleting": canAsk ? "yes" : "by argument",
    "cancelled wait": "yes",
  };
  console.log(JSON.stringify({ client: name, transport, revision, features }));
}
