//! The narrow networks: that Rust computes the numbers which Python computed, and that their checkpoints are well formed.
//!
//! The expected numbers were printed by `tests/fixtures/torch/formula.py`.

use zoo_tensor::{DType, Tensor};
use zoo_tests::networks::{self, Expected, formula};

fn bits(tensor: &Tensor) -> Vec<u32> {
    tensor.to_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

#[test]
fn a_name_gives_the_weights_that_python_computes() {
    assert_eq!(formula::seed(""), 0xcbf2_9ce4_8422_2325);
    assert_eq!(formula::seed("conv1.weight"), 0x69a2_9a2c_ee47_d254);
    let units: Vec<f64> = formula::unit("conv1.weight").take(3).collect();
    assert_eq!(units, [0.545_074_978_917_144_7, 0.745_161_751_328_336, 0.022_921_737_033_572_143]);
    let tensor = formula::values("conv1.weight", &[2, 2], -0.25, 0.75).unwrap();
    assert_eq!(tensor.shape(), [2, 2]);
    assert_eq!(bits(&tensor), [0x3e97_1411, 0x3efd_85d7, 0xbe68_8734, 0x3ef8_eeec]);
}

#[test]
fn a_name_gives_the_picture_that_python_computes() {
    let picture = formula::picture("input:one", &[1, 2, 9, 10]).unwrap();
    let bits = bits(&picture);
    assert_eq!(bits.len(), 180);
    // Inside a block and at its edge, in both planes, at the last element.
    let seen = [0, 7, 8, 79, 80, 89, 90, 179].map(|at| bits[at]);
    let expected = [
        0x3f63_2cdc,
        0x3f41_031b,
        0x3f8f_faa0,
        0x3f73_2599,
        0x3ea8_9429,
        0x3f84_127e,
        0xbf1c_41f1,
        0x3ef8_82fc,
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_video_has_blocks_along_time_too() {
    let video = formula::picture("input:one", &[2, 3, 9, 1, 17]).unwrap();
    assert_eq!(bits(&video).into_iter().fold(0, |all, bits| all ^ bits), 99_491_008);
    formula::picture("input:one", &[3]).unwrap_err();
}

#[test]
fn every_network_has_its_tensors_and_cases() {
    let names = networks::all().unwrap();
    assert!(names.len() > 90, "{names:?}");
    for name in names {
        let network = networks::load(&name).unwrap();
        assert!(name.contains(network.builder()), "{name} is of {}", network.builder());
        assert!(["torchvision", "timm"].contains(&network.source()), "{name}");
        let cases: Vec<&str> = network.cases().iter().map(|case| &*case.name).collect();
        assert!(cases.starts_with(&["one", "three"]), "{name}: {cases:?}");
        for case in network.cases() {
            assert_eq!(case.shape[1], 3, "{name}: {}", case.name);
            assert!(!case.outputs.is_empty(), "{name}: {}", case.name);
        }
        let values: usize = network.tensors().iter().map(|(_, tensor)| tensor.len()).sum();
        assert!((20_000..1_500_000).contains(&values), "{name} has {values} values");
    }
}

#[test]
fn integers_and_derived_tensors_are_the_real_ones() {
    let resnet = networks::load("resnet18").unwrap();
    let (name, counter) = &resnet.tensors()[5];
    assert_eq!(name, "bn1.num_batches_tracked");
    assert_eq!((counter.dtype(), counter.shape()), (DType::I64, &[][..]));
    assert_eq!(counter.to_vec::<i64>().unwrap(), [0]);

    let swin = networks::load("swin_t").unwrap();
    let index = "features.1.0.attn.relative_position_index";
    let (_, index) = swin.tensors().iter().find(|(name, _)| name == index).unwrap();
    // Between the first and last of 7 × 7 positions: from (0, 0) to (6, 6), each way.
    let index = index.to_vec::<i64>().unwrap();
    assert_eq!((index.len(), index[0], index[48], index[48 * 49]), (49 * 49, 84, 0, 168));
}

#[test]
fn a_picked_output_is_compared_where_it_was_recorded() {
    let values = Tensor::from_slice([3], &[0.0_f32, 4.0, 8.0]).unwrap();
    let expected = Expected { shape: vec![2, 3], step: 2, values };
    let actual = Tensor::from_slice([2, 3], &[0.0_f32, 99.0, 4.5, 99.0, 8.0, 99.0]).unwrap();
    let (difference, spread) = expected.difference(&actual).unwrap();
    assert!((difference - 0.5).abs() < 1e-9, "{difference}");
    assert!((spread - (32.0_f64 / 3.0).sqrt()).abs() < 1e-9, "{spread}");
    let bad = Tensor::from_slice([2, 3], &[f32::NAN; 6]).unwrap();
    assert!(expected.difference(&bad).unwrap().0.is_infinite());
    expected.difference(&actual.reshaped([3, 2]).unwrap()).unwrap_err();
}

#[test]
fn a_checkpoint_lies_as_torch_lays_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resnet18.pth");
    let network = networks::load("resnet18").unwrap();
    network.write_pth(&path).unwrap();
    let bytes = zoo_core::fs::read_bounded(&path, 8 << 20).unwrap();

    // The first record is the pickle, at 64, behind an extra field of padding; it begins as torch's.
    assert_eq!(&bytes[..4], b"PK\x03\x04");
    assert_eq!(&bytes[30..47], b"resnet18/data.pkl");
    assert_eq!(&bytes[47..49], b"FB");
    assert_eq!(&bytes[64..93], b"\x80\x02ccollections\nOrderedDict\nq\0");

    // Every record's bytes begin at a multiple of 64, and those of the first weight are its elements.
    let find = |name: &str| {
        let at = bytes.windows(name.len()).position(|window| window == name.as_bytes()).unwrap();
        let extra = usize::from(u16::from_le_bytes([bytes[at - 2], bytes[at - 1]]));
        at + name.len() + extra
    };
    for index in 0..network.tensors().len() {
        assert_eq!(find(&format!("resnet18/data/{index}F")) % 64, 1, "record {index}");
    }
    let (_, first) = &network.tensors()[0];
    let start = find("resnet18/data/0F") - 1;
    assert_eq!(&bytes[start..start + first.len() * 4], &first.bytes().unwrap()[..]);
}
