const $ = id => document.getElementById(id);
$("token").focus();
$("form").addEventListener("submit", async event => {
  event.preventDefault();
  const answer = await fetch("/login", {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({token: $("token").value})});
  if (answer.ok) location.replace("/");
  else {
    $("fault").hidden = false;
    $("token").select();
  }
});
