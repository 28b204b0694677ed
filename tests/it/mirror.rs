//! The mirror answers as the hubs do: statuses, headers and redirects, checked with a plain HTTP client that follows nothing.

use reqwest::header::HeaderMap;
use reqwest::{Client, Method, Response, StatusCode};
use zoo_mirror::{Mirror, Role};

use crate::support::{plain_client, run};

fn client() -> Client {
    plain_client().redirect(reqwest::redirect::Policy::none()).no_proxy().build().expect("a client")
}

async fn ask(method: Method, url: &str, headers: &[(&str, &str)]) -> Response {
    let request =
        headers.iter().fold(client().request(method, url), |r, (name, value)| r.header(*name, *value));
    request.send().await.expect("an answer")
}

async fn get(url: &str) -> Response {
    ask(Method::GET, url, &[]).await
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).unwrap_or_else(|| panic!("no {name} in {headers:?}")).to_str().expect("text")
}

fn everyday(mirror: &Mirror, path: &str) -> String {
    format!("{}/zoo-tests/everyday/resolve/main/{path}", mirror.hf_endpoint())
}

#[test]
fn a_large_file_is_redirected_to_another_host_with_its_facts_on_the_redirect() {
    run(async {
        let mirror = zoo_tests::mirror().start().unwrap();
        for method in [Method::GET, Method::HEAD] {
            let reply = ask(method, &everyday(&mirror, "weights.bin"), &[]).await;
            assert_eq!(reply.status(), StatusCode::FOUND);
            let headers = reply.headers();
            assert_eq!(header(headers, "x-linked-size"), (1 << 20).to_string());
            let etag = header(headers, "x-linked-etag").trim_matches('"').to_owned();
            assert_eq!(etag.len(), 64);
            assert_eq!(header(headers, "x-repo-commit").len(), 40);
            assert!(header(headers, "ratelimit").starts_with("\"resolvers\";r="));
            let to = header(headers, "location").to_owned();
            assert!(
                to.starts_with(&mirror.endpoint(Role::HuggingFaceContent)) && to.contains("localhost"),
                "{to}"
            );

            let content = get(&to).await;
            assert_eq!(content.status(), StatusCode::OK);
            assert_ne!(
                header(content.headers(), "etag").trim_matches('"'),
                etag,
                "the network's tag is no digest"
            );
            assert_eq!(content.bytes().await.unwrap().len(), 1 << 20);
            let unsigned = to.split_once('?').unwrap().0;
            assert_eq!(get(unsigned).await.status(), StatusCode::FORBIDDEN);
        }
    });
}

#[test]
fn a_small_file_is_redirected_relatively_and_tagged_with_its_blob_id() {
    run(async {
        let mirror = zoo_tests::mirror().start().unwrap();
        let reply = get(&everyday(&mirror, "config.json")).await;
        assert_eq!(reply.status(), StatusCode::TEMPORARY_REDIRECT);
        let to = header(reply.headers(), "location").to_owned();
        assert!(to.starts_with("/api/resolve-cache/models/zoo-tests/everyday/"), "{to}");
        let content = get(&format!("{}{to}", mirror.hf_endpoint())).await;
        assert_eq!(content.status(), StatusCode::OK);
        // `printf '{"model_type": "none"}\n' | git hash-object --stdin`
        assert_eq!(header(content.headers(), "etag"), "\"e10a95a006a228b0541408f1c0436a47fa8e0a3e\"");
        assert_eq!(content.text().await.unwrap(), "{\"model_type\": \"none\"}\n");
        let odd = get(&everyday(&mirror, "folder/a%20b+%C3%BC%23%25.txt")).await;
        let to = header(odd.headers(), "location").to_owned();
        assert_eq!(
            get(&format!("{}{to}", mirror.hf_endpoint())).await.text().await.unwrap(),
            "odd names happen\n"
        );
    });
}

type Case<'a> = (&'a str, &'a str, Option<(&'a str, &'a str)>, u16, Option<&'a str>);

#[test]
fn refusals_carry_the_hubs_codes() {
    run(async {
        let mirror = zoo_tests::mirror().start().unwrap();
        let url =
            |repo: &str, file: &str| format!("{}/zoo-tests/{repo}/resolve/main/{file}", mirror.hf_endpoint());
        let member = ("authorization", "Bearer hf_member");
        let stranger = ("authorization", "Bearer hf_stranger");
        let invalid = ("authorization", "Bearer hf_wrong");
        // Repository, file, token header, expected status, expected code.
        let cases: &[Case<'_>] = &[
            ("nothing", "x", None, 401, None),
            ("nothing", "x", Some(invalid), 401, None),
            ("nothing", "x", Some(member), 404, Some("RepoNotFound")),
            ("private", "weights.bin", None, 401, None),
            ("private", "weights.bin", Some(stranger), 404, Some("RepoNotFound")),
            ("private", "weights.bin", Some(member), 302, None),
            ("gated", "weights.bin", None, 401, Some("GatedRepo")),
            ("gated", "weights.bin", Some(invalid), 401, Some("GatedRepo")),
            ("gated", "weights.bin", Some(stranger), 403, Some("GatedRepo")),
            ("gated", "weights.bin", Some(member), 302, None),
            ("disabled", "weights.bin", Some(member), 403, None),
            ("everyday", "nothing.bin", None, 404, Some("EntryNotFound")),
        ];
        for (repo, file, token, status, code) in cases {
            let headers: Vec<(&str, &str)> = token.iter().copied().collect();
            let reply = ask(Method::HEAD, &url(repo, file), &headers).await;
            assert_eq!(reply.status().as_u16(), *status, "{repo} {token:?}");
            assert_eq!(
                reply.headers().get("x-error-code").map(|v| v.to_str().unwrap()),
                *code,
                "{repo} {token:?}"
            );
        }
        let wrong = get(&everyday(&mirror, "config.json").replace("/main/", "/nowhere/")).await;
        assert_eq!(header(wrong.headers(), "x-error-code"), "RevisionNotFound");
        let moved = get(&everyday(&mirror, "config.json").replace("everyday", "former")).await;
        assert_eq!(moved.status(), StatusCode::TEMPORARY_REDIRECT);
        assert_eq!(header(moved.headers(), "location"), "/zoo-tests/everyday/resolve/main/config.json");
    });
}

#[test]
fn listings_come_in_pages_that_are_linked() {
    run(async {
        let mirror = zoo_tests::mirror().page_size(2).start().unwrap();
        let mut next =
            Some(format!("{}/api/models/zoo-tests/everyday/tree/main?recursive=true", mirror.hf_endpoint()));
        let (mut paths, mut pages) = (Vec::new(), 0);
        while let Some(url) = next {
            let reply = get(&url).await;
            next = reply.headers().get("link").map(|link| {
                let link = link.to_str().unwrap();
                assert!(link.ends_with("rel=\"next\""));
                link[1..link.find('>').unwrap()].to_owned()
            });
            let page: serde_json::Value = serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap();
            paths.extend(page.as_array().unwrap().iter().map(|e| e["path"].as_str().unwrap().to_owned()));
            pages += 1;
        }
        assert_eq!(pages, 3);
        assert_eq!(
            paths,
            ["config.json", "empty.txt", "folder/a b+ü#%.txt", "folder/large.bin", "weights.bin"]
        );

        let url =
            format!("{}/api/models?search=EVERY&pipeline_tag=text-classification", mirror.hf_endpoint());
        let found: serde_json::Value =
            serde_json::from_slice(&get(&url).await.bytes().await.unwrap()).unwrap();
        assert_eq!(found[0]["id"], "zoo-tests/everyday");
        let url = format!("{}/api/models/zoo-tests/everyday?blobs=true", mirror.hf_endpoint());
        let info: serde_json::Value =
            serde_json::from_slice(&get(&url).await.bytes().await.unwrap()).unwrap();
        let large =
            info["siblings"].as_array().unwrap().iter().find(|s| s["rfilename"] == "weights.bin").unwrap();
        assert_eq!(large["size"], 1 << 20);
        assert_eq!(large["lfs"]["sha256"].as_str().unwrap().len(), 64);
    });
}

#[test]
fn ranges_validators_and_lengths_are_those_of_an_object_store() {
    run(async {
        let mirror = zoo_tests::mirror().start().unwrap();
        let to = header(get(&everyday(&mirror, "weights.bin")).await.headers(), "location").to_owned();
        let part = ask(Method::GET, &to, &[("range", "bytes=10-19")]).await;
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(header(part.headers(), "content-range"), "bytes 10-19/1048576");
        let etag = header(part.headers(), "etag").to_owned();
        assert_eq!(part.bytes().await.unwrap().len(), 10);
        let stale = ask(Method::GET, &to, &[("range", "bytes=10-19"), ("if-range", "\"other\"")]).await;
        assert_eq!(stale.status(), StatusCode::OK);
        let beyond = ask(Method::GET, &to, &[("range", "bytes=1048576-")]).await;
        assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
        assert_eq!(header(beyond.headers(), "content-range"), "bytes */1048576");
        let same = ask(Method::GET, &to, &[("if-none-match", &etag)]).await;
        assert_eq!(same.status(), StatusCode::NOT_MODIFIED);
        let head = ask(Method::HEAD, &to, &[]).await;
        assert_eq!(header(head.headers(), "content-length"), "1048576");
    });
}

#[test]
fn github_has_pointers_and_only_the_fork_has_media() {
    run(async {
        let mirror = zoo_tests::mirror().start().unwrap();
        let path = "validated/vision/classification/mnist/model/mnist-8.onnx";
        let pointer =
            get(&format!("{}/onnx/models/main/{path}", mirror.raw_endpoint())).await.text().await.unwrap();
        assert!(pointer.starts_with("version https://git-lfs.github.com/spec/v1\noid sha256:"), "{pointer}");
        assert!(pointer.ends_with(&format!("\nsize {}\n", 25250)), "{pointer}");
        let media = mirror.endpoint(Role::GitHubMedia);
        assert_eq!(
            get(&format!("{media}/media/onnx/models/main/{path}")).await.status(),
            StatusCode::NOT_FOUND
        );
        let fork = get(&format!("{media}/media/zoo-tests/models/main/{path}")).await;
        assert_eq!(fork.bytes().await.unwrap().len(), 25250);
        let manifest =
            get(&format!("{}/onnx/models/main/ONNX_HUB_MANIFEST.json", mirror.raw_endpoint())).await;
        let rows: serde_json::Value = serde_json::from_slice(&manifest.bytes().await.unwrap()).unwrap();
        assert_eq!(rows.as_array().unwrap().len(), 11);
    });
}

#[test]
fn torchvisions_store_serves_files_in_ranges_and_denies_what_it_does_not_have() {
    run(async {
        let mirror = zoo_tests::mirror()
            .torch_file("resnet18-xxxxxxxx.pth", b"abc".to_vec())
            .torch_file("quantized/googlenet_fbgemm-xxxxxxxx.pth", b"abc".to_vec())
            .start()
            .unwrap();
        let at = |path: &str| format!("{}/{path}", mirror.torch_endpoint());
        let file = at("models/resnet18-ba7816bf.pth");
        let whole = get(&file).await;
        assert_eq!(whole.status(), StatusCode::OK);
        assert_eq!(header(whole.headers(), "content-length"), "3");
        assert_eq!(header(whole.headers(), "accept-ranges"), "bytes");
        let etag = header(whole.headers(), "etag").to_owned();
        assert!(etag.starts_with('"') && etag.len() > 10, "{etag}");
        assert_eq!(whole.text().await.unwrap(), "abc");
        let part = ask(Method::GET, &file, &[("range", "bytes=1-"), ("if-range", &etag)]).await;
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(header(part.headers(), "content-range"), "bytes 1-2/3");
        assert_eq!(part.text().await.unwrap(), "bc");
        let head = ask(Method::HEAD, &file, &[]).await;
        assert_eq!((head.status(), header(head.headers(), "content-length")), (StatusCode::OK, "3"));
        let quantized = get(&at("models/quantized/googlenet_fbgemm-ba7816bf.pth")).await;
        assert_eq!(quantized.status(), StatusCode::OK);

        for missing in ["models/resnet18-00000000.pth", "resnet18-ba7816bf.pth", "models/", ""] {
            let denied = get(&at(missing)).await;
            assert_eq!(denied.status(), StatusCode::FORBIDDEN, "{missing}");
            assert_eq!(header(denied.headers(), "content-type"), "application/xml");
            assert!(denied.text().await.unwrap().contains("<Code>AccessDenied</Code>"));
        }
        let denied = ask(Method::HEAD, &at("models/none.pth"), &[]).await;
        assert_eq!(denied.status(), StatusCode::FORBIDDEN);
        assert_eq!(ask(Method::POST, &file, &[]).await.status(), StatusCode::FORBIDDEN);
    });
}

#[test]
fn the_proxy_answers_in_the_real_hosts_names_and_for_no_others() {
    run(async {
        let mirror = zoo_tests::mirror().start().unwrap();
        let authority = reqwest::Certificate::from_pem(mirror.authority_pem().as_bytes()).unwrap();
        let client = plain_client()
            .proxy(reqwest::Proxy::https(mirror.proxy_url()).unwrap())
            .tls_certs_merge([authority])
            .build()
            .unwrap();
        let url = "https://huggingface.co/zoo-tests/everyday/resolve/main/weights.bin";
        let reply = client.get(url).send().await.unwrap();
        assert_eq!(reply.version(), reqwest::Version::HTTP_2);
        assert_ne!(reply.url().host_str(), Some("huggingface.co"));
        assert_eq!(reply.bytes().await.unwrap().len(), 1 << 20);
        assert!(client.get("https://example.org/").send().await.is_err());
    });
}

#[test]
fn people_can_add_faults_and_read_the_log() {
    run(async {
        let mirror = zoo_tests::mirror().start().unwrap();
        let admin = mirror.endpoint(Role::Admin);
        let rule = r#"{"path": "config.json", "times": 1, "fault": {"kind": "status", "code": 503, "retry_after": 1}}"#;
        let added = client().post(format!("{admin}/faults")).body(rule).send().await.unwrap();
        assert_eq!(added.status(), StatusCode::NO_CONTENT);
        let to = header(get(&everyday(&mirror, "config.json")).await.headers(), "location").to_owned();
        let struck = get(&format!("{}{to}", mirror.hf_endpoint())).await;
        assert_eq!((struck.status().as_u16(), header(struck.headers(), "retry-after")), (503, "1"));
        assert_eq!(get(&format!("{}{to}", mirror.hf_endpoint())).await.status(), StatusCode::OK);
        let log: serde_json::Value =
            serde_json::from_slice(&get(&format!("{admin}/log")).await.bytes().await.unwrap()).unwrap();
        assert_eq!(log.as_array().unwrap().len(), 3);
        assert_eq!(log[1]["status"], 503);
        let nonsense = client().post(format!("{admin}/faults")).body("{}").send().await.unwrap();
        assert_eq!(nonsense.status(), StatusCode::BAD_REQUEST);
    });
}

async fn json(url: &str) -> serde_json::Value {
    let reply = get(url).await;
    assert_eq!(reply.status(), StatusCode::OK, "{url}");
    serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap()
}

#[test]
fn references_name_commits_and_a_push_leaves_the_one_before() {
    run(async {
        let text = |text: &str| text.as_bytes().to_vec();
        let mirror = Mirror::builder()
            .hf_repo("org/name", |repo| {
                repo.file("config.json", text("{}"))
                    .tag("v1")
                    .branch("refs/pr/2", |repo| repo.file("model.safetensors", text("weights")))
                    .card(serde_json::json!({ "license": "mit" }))
            })
            .hf_renamed("name", "org/name")
            .start()
            .unwrap();
        let api = format!("{}/api/models/org/name", mirror.hf_endpoint());
        let refs = json(&format!("{api}/refs?include_prs=1")).await;
        assert_eq!(
            (&refs["branches"][0]["name"], &refs["tags"][0]["ref"]),
            (&"main".into(), &"refs/tags/v1".into())
        );
        assert_eq!(refs["pullRequests"][0]["ref"], "refs/pr/2");
        assert!(json(&format!("{api}/refs")).await.get("pullRequests").is_none());
        let before = json(&api).await["sha"].as_str().unwrap().to_owned();
        assert_eq!(refs["branches"][0]["targetCommit"], before);

        let request =
            json(&format!("{api}/revision/refs%2Fpr%2F2?expand=sha&expand=siblings&expand=cardData")).await;
        assert_eq!(request["siblings"][1]["rfilename"], "model.safetensors");
        assert_eq!(request["cardData"]["license"], "mit");
        let fields: Vec<&String> = request.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["_id", "cardData", "id", "sha", "siblings"]);
        assert_eq!(get(&format!("{api}?expand=nonsense")).await.status(), StatusCode::BAD_REQUEST);
        let tree = json(&format!("{api}/tree/refs%2Fpr%2F2")).await;
        assert_eq!((&tree[1]["lfs"]["size"], tree.as_array().unwrap().len()), (&7.into(), 2));
        assert_eq!(get(&format!("{api}/xet-read-token/main")).await.status(), StatusCode::NOT_FOUND);

        let pushed = mirror
            .hf_push("org/name", |repo| repo.file("new.txt", text("new")).without("config.json"))
            .unwrap();
        assert_eq!(json(&api).await["sha"], pushed);
        let paths = json(&format!("{api}/tree/main")).await;
        assert_eq!((&paths[0]["path"], paths.as_array().unwrap().len()), (&"new.txt".into(), 1));
        for old in [before.as_str(), "v1", &before[..7]] {
            assert_eq!(json(&format!("{api}/tree/{old}")).await[0]["path"], "config.json", "{old}");
            let file = get(&format!("{}/org/name/resolve/{old}/config.json", mirror.hf_endpoint())).await;
            assert_eq!(header(file.headers(), "x-repo-commit"), before);
        }
        // A name without an owner leads to where it went, question and all.
        let moved = get(&format!("{}/api/models/name/revision/main?expand=sha", mirror.hf_endpoint())).await;
        assert_eq!(moved.status(), StatusCode::TEMPORARY_REDIRECT);
        assert_eq!(header(moved.headers(), "location"), "/api/models/org/name/revision/main?expand=sha");
    });
}

#[test]
fn a_quota_is_told_on_every_reply_and_ends_in_429() {
    run(async {
        let mirror = zoo_tests::mirror().hf_quota(2, 3600).start().unwrap();
        let url = format!("{}/api/models/zoo-tests/everyday", mirror.hf_endpoint());
        for left in [1, 0] {
            let reply = get(&url).await;
            assert_eq!(reply.status(), StatusCode::OK);
            assert!(header(reply.headers(), "ratelimit").starts_with(&format!("\"api\";r={left};t=3")));
            assert_eq!(header(reply.headers(), "ratelimit-policy"), "\"fixed window\";\"api\";q=2;w=3600");
        }
        let enough = get(&url).await;
        assert_eq!(enough.status(), StatusCode::TOO_MANY_REQUESTS);
        assert!(header(enough.headers(), "ratelimit").starts_with("\"api\";r=0;t="));
        assert!(enough.headers().get("retry-after").is_none(), "the wait is in `RateLimit` alone");
    });
}

#[test]
fn a_folder_is_a_repository_with_files_as_large_as_the_hub_would_have_them() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        for (path, length) in [("config.json", 2), ("onnx/model.onnx", 3), ("long.txt", 11 << 20)] {
            let path = folder.path().join(path);
            zoo_core::fs::create_parent(&path).unwrap();
            zoo_core::fs::write_atomic(&path, &vec![b'x'; length], false).unwrap();
        }
        let mirror = Mirror::builder().hf_repo_from_folder("org/name", folder.path()).start().unwrap();
        let tree =
            json(&format!("{}/api/models/org/name/tree/main?recursive=true", mirror.hf_endpoint())).await;
        let large: Vec<(&str, bool)> = tree
            .as_array()
            .unwrap()
            .iter()
            .map(|e| (e["path"].as_str().unwrap(), e.get("lfs").is_some()))
            .collect();
        assert_eq!(large, [("config.json", false), ("long.txt", true), ("onnx/model.onnx", true)]);
        let none = Mirror::builder().hf_repo_from_folder("org/name", &folder.path().join("none")).start();
        assert!(none.is_err() || zoo_core::fs::list_dir(&folder.path().join("none")).unwrap().is_empty());
    });
}
