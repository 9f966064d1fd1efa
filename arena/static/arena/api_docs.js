// Deferred scripts and modules run in their order, so that the bundle is there by now.
const description = JSON.parse(document.getElementById("api-description").textContent);

window.SwaggerUIBundle({
  spec: description,
  dom_id: "#swagger-ui",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  validatorUrl: null, // the default would ask another host
});
