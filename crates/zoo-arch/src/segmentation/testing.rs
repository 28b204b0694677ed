//! Backbones of zeros, for the tests of heads.

use crate::testing::Checkpoint;

/// A ResNet of bottlenecks without its classifier: stages of 4, 6, 8 and 10 channels, two within each block.
pub(super) fn resnet(depths: [usize; 4]) -> Checkpoint {
    let mut checkpoint = Checkpoint::default();
    checkpoint.bare("backbone.conv1", &[3, 3, 7, 7]).norm("backbone.bn1", 3);
    let mut channels = 3;
    for ((stage, width), depth) in (1..).zip([4, 6, 8, 10]).zip(depths) {
        for block in 0..depth {
            let at = format!("backbone.layer{stage}.{block}");
            let convs = [("conv1", "bn1", [2, channels, 1, 1]), ("conv2", "bn2", [2, 2, 3, 3])];
            for (conv, norm, shape) in convs.into_iter().chain([("conv3", "bn3", [width, 2, 1, 1])]) {
                checkpoint.bare(format_args!("{at}.{conv}"), &shape);
                checkpoint.norm(format_args!("{at}.{norm}"), shape[0]);
            }
            if block == 0 {
                conv_norm(&mut checkpoint, &format!("{at}.downsample"), &[width, channels, 1, 1]);
            }
            channels = width;
        }
    }
    checkpoint
}

/// MobileNetV3 large without its classifier: every block has two channels, widened to four; the last convolution gives ten.
pub(super) fn mobilenet() -> Checkpoint {
    let mut checkpoint = Checkpoint::default();
    conv_norm(&mut checkpoint, "backbone.0", &[2, 3, 3, 3]);
    let kernels = [3, 3, 3, 5, 5, 5, 3, 3, 3, 3, 3, 3, 5, 5, 5];
    for (block, kernel) in (1..).zip(kernels) {
        let at = |part: usize| format!("backbone.{block}.block.{part}");
        // The first block does not expand; some squeeze and excite.
        let (wide, expanded) = if block == 1 { (2, 0) } else { (4, 1) };
        if expanded == 1 {
            conv_norm(&mut checkpoint, &at(0), &[wide, 2, 1, 1]);
        }
        conv_norm(&mut checkpoint, &at(expanded), &[wide, 1, kernel, kernel]);
        let excited = usize::from((4..=6).contains(&block) || block >= 11);
        if excited == 1 {
            checkpoint.layer(format_args!("{}.fc1", at(expanded + 1)), &[1, wide, 1, 1]);
            checkpoint.layer(format_args!("{}.fc2", at(expanded + 1)), &[wide, 1, 1, 1]);
        }
        conv_norm(&mut checkpoint, &at(expanded + excited + 1), &[2, wide, 1, 1]);
    }
    conv_norm(&mut checkpoint, "backbone.16", &[10, 2, 1, 1]);
    checkpoint
}

/// A convolution `0` and its batch norm `1`.
pub(super) fn conv_norm(checkpoint: &mut Checkpoint, at: &str, shape: &[usize]) {
    checkpoint.bare(format_args!("{at}.0"), shape).norm(format_args!("{at}.1"), shape[0]);
}

/// The head of an FCN, for seven classes.
pub(super) fn fcn_head(checkpoint: &mut Checkpoint, at: &str, channels: usize) {
    conv_norm(checkpoint, at, &[2, channels, 3, 3]);
    checkpoint.layer(format_args!("{at}.4"), &[7, 2, 1, 1]);
}

/// The head of DeepLabV3, for seven classes.
pub(super) fn deeplab_head(checkpoint: &mut Checkpoint, at: &str, channels: usize) {
    let convs = format!("{at}.0.convs");
    conv_norm(checkpoint, &format!("{convs}.0"), &[2, channels, 1, 1]);
    for branch in 1..=3 {
        conv_norm(checkpoint, &format!("{convs}.{branch}"), &[2, channels, 3, 3]);
    }
    checkpoint.bare(format_args!("{convs}.4.1"), &[2, channels, 1, 1]).norm(format_args!("{convs}.4.2"), 2);
    conv_norm(checkpoint, &format!("{at}.0.project"), &[3, 10, 1, 1]);
    checkpoint.bare(format_args!("{at}.1"), &[4, 3, 3, 3]).norm(format_args!("{at}.2"), 4);
    checkpoint.layer(format_args!("{at}.4"), &[7, 4, 1, 1]);
}
