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
