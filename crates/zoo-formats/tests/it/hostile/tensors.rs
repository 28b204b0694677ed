//! Tensors that reach for what is not theirs.

use super::*;

/// What is wrong with a tensor over a storage of six floats.
fn wrong(view: &View<'_>) -> String {
    let error = untaken(&Zip::checkpoint(&one_tensor(view), &[&floats(&[0.0; 6])]).write());
    error.strip_prefix("1 tensor cannot be taken from x.pth: \"w\" ").unwrap().to_owned()
}

#[test]
fn a_storage_that_is_larger_than_its_record() {
    let view = View { count: 7, ..SIX };
    assert_eq!(wrong(&view), "its storage \"0\" should have 28 bytes and the record has 24");
    let view = View { class: "DoubleStorage", ..SIX };
    assert_eq!(wrong(&view), "its storage \"0\" should have 48 bytes and the record has 24");
    let view = View { count: i64::MAX, ..SIX };
    assert_eq!(wrong(&view), "storage \"0\" has 9223372036854775807 elements, which is impossible");
    let view = View { count: -1, ..SIX };
    assert_eq!(wrong(&view), "the length of a storage is no number");
}

#[test]
fn a_storage_that_is_not_there() {
    assert_eq!(wrong(&View { key: "1", ..SIX }), "its storage \"1\" is not in the file");
    assert_eq!(wrong(&View { key: "../data.pkl", ..SIX }), "its storage \"../data.pkl\" is not in the file");
}

#[test]
fn a_storage_of_no_known_class() {
    assert_eq!(
        wrong(&View { class: "EvilStorage", ..SIX }),
        "torch.EvilStorage is no known class of storages"
    );
}

#[test]
fn offsets() {
    let two = "ends at element 7 of its storage \"0\", which has 6";
    assert_eq!(wrong(&View { offset: 2, ..SIX }), two);
    assert_eq!(wrong(&View { offset: -1, ..SIX }), "has an offset that is negative or no number");
    let far = "ends impossibly far of its storage \"0\", which has 6";
    assert_eq!(wrong(&View { offset: i64::MAX, size: &[4], stride: &[i64::MAX], ..SIX }), far);
}

#[test]
fn sizes_and_strides() {
    assert_eq!(wrong(&View { size: &[-2, 3], ..SIX }), "has a size that is negative or no number");
    assert_eq!(wrong(&View { stride: &[3, -1], ..SIX }), "has a stride that is negative or no number");
    assert_eq!(
        wrong(&View { size: &[2, 4], stride: &[4, 1], ..SIX }),
        "ends at element 7 of its storage \"0\", which has 6"
    );
    assert_eq!(wrong(&View { stride: &[1], ..SIX }), "has 2 sizes and 1 strides");
    assert_eq!(
        wrong(&View { size: &[1; 65], stride: &[1; 65], ..SIX }),
        "has 65 dimensions, and PyTorch permits 64"
    );
}

#[test]
fn element_counts_that_overflow() {
    let half = 1 << 32;
    let view = View { size: &[half, half], stride: &[0, 0], ..SIX };
    assert_eq!(wrong(&view), "has the impossible shape [4294967296, 4294967296]");
    let view = View { size: &[i64::MAX], stride: &[0], ..SIX };
    assert_eq!(wrong(&view), "has the impossible shape [9223372036854775807]");
    let view = View { size: &[0, i64::MAX, i64::MAX], stride: &[0, 0, 0], ..SIX };
    assert_eq!(wrong(&view), "has the impossible shape [0, 9223372036854775807, 9223372036854775807]");
}

#[test]
fn repetitions_do_not_become_gigabytes() {
    let view = View { size: &[1 << 40], stride: &[0], ..SIX };
    assert!(
        wrong(&view).contains("describe more elements than the whole file could hold"),
        "{}",
        wrong(&view)
    );
}

#[test]
fn a_tensor_without_elements_may_point_anywhere() {
    let view = View { size: &[0, 3], offset: i64::MAX, ..SIX };
    assert_eq!(read(&Zip::checkpoint(&one_tensor(&view), &[&floats(&[0.0; 6])]).write()), [0.0_f32; 0]);
}

#[test]
fn wrong_kinds_in_the_place_of_arguments() {
    let call = |args: Pickle| {
        let pickle = Pickle::new().raw("}").text("w").global("torch._utils", "_rebuild_tensor_v2");
        let error = untaken(&Zip::checkpoint(&pickle.raw(args.0).raw("Rs").stop(), &[]).write());
        error.strip_prefix("1 tensor cannot be taken from x.pth: \"w\" ").unwrap().to_owned()
    };
    assert_eq!(call(Pickle::default().raw(")")), "is described by too few arguments");
    assert_eq!(call(Pickle::default().raw("(NNNNt")), "has None in the place of its storage");
    let storage = Pickle::default().raw("(").storage("FloatStorage", "0", 0);
    assert_eq!(call(storage.clone().raw("NNNt")), "has an offset that is negative or no number");
    assert_eq!(call(storage.clone().int(0).raw("NNt")), "has a size that is no tuple");
    let module = Pickle::default().raw("((").text("module").raw("NNtQNNNt");
    assert_eq!(call(module), "it refers to something other than a storage");
}
