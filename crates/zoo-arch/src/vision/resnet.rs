//! ResNet-18 … 152 (He et al., 2015), ResNeXt (Xie et al., 2016) and Wide ResNet (Zagoruyko and Komodakis, 2016), with the weight
//! names of torchvision.
//!
//! A bottleneck strides on its 3x3 convolution ("v1.5"), as torchvision does; the paper strides on the 1x1. ResNeXt and the wide
//! ones differ from ResNet in numbers that the weights show (groups and widths), so that depth and block are all there is to state.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Result, Val, Weights};

use crate::network::Network;
use crate::nn::{conv_bn, linear};

pub(super) const NETWORKS: &[Network] = &[
    Network::classifier("resnet18", 224, |g, w, x| RESNET18.build(g, w, x)),
    Network::classifier("resnet34", 224, |g, w, x| RESNET34.build(g, w, x)),
    Network::classifier("resnet50", 224, |g, w, x| RESNET50.build(g, w, x)),
    Network::classifier("resnet101", 224, |g, w, x| RESNET101.build(g, w, x)),
    Network::classifier("resnet152", 224, |g, w, x| RESNET152.build(g, w, x)),
    Network::classifier("resnext50_32x4d", 224, |g, w, x| RESNET50.build(g, w, x)),
    Network::classifier("resnext101_32x8d", 224, |g, w, x| RESNET101.build(g, w, x)),
    Network::classifier("resnext101_64x4d", 224, |g, w, x| RESNET101.build(g, w, x)),
    Network::classifier("wide_resnet50_2", 224, |g, w, x| RESNET50.build(g, w, x)),
    Network::classifier("wide_resnet101_2", 224, |g, w, x| RESNET101.build(g, w, x)),
];

const RESNET18: ResNet = ResNet { block: Block::Basic, depths: [2, 2, 2, 2], dilated: false };
const RESNET34: ResNet = ResNet { depths: [3, 4, 6, 3], ..RESNET18 };
pub(crate) const RESNET50: ResNet = ResNet { block: Block::Bottleneck, ..RESNET34 };
pub(crate) const RESNET101: ResNet = ResNet { depths: [3, 4, 23, 3], ..RESNET50 };
const RESNET152: ResNet = ResNet { depths: [3, 8, 36, 3], ..RESNET50 };

/// What a checkpoint of the family cannot say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResNet {
    block: Block,
    depths: [usize; 4],
    /// Whether the last two stages keep their size and dilate their windows instead, as segmentation wants it.
    dilated: bool,
}

#[derive(Debug, Clone, Copy)]
enum Block {
    /// Two 3x3 convolutions.
    Basic,
    /// A 3x3 convolution between two of 1x1.
    Bottleneck,
}

impl ResNet {
    /// The same network as a backbone for segmentation.
    pub(crate) const fn dilated(self) -> Self {
        Self { dilated: true, ..self }
    }

    fn build(&self, g: &mut Builder, w: &Weights, image: Val) -> Result<Vec<(&'static str, Val)>> {
        let [.., x] = self.stages(g, w, image)?;
        let x = g.global_average_pool(x)?;
        let x = g.flatten(x)?;
        Ok(vec![("logits", linear(g, &w.at("fc"), x)?)])
    }

    /// What each of the four stages gives.
    pub(crate) fn stages(&self, g: &mut Builder, w: &Weights, image: Val) -> Result<[Val; 4]> {
        let x = conv_bn(g, w, ("conv1", "bn1"), image, Window::same(7).stride(2))?;
        let x = g.relu(x)?;
        let mut x = g.max_pool(x, Window::same(3).stride(2))?;
        let mut stages = [x; 4];
        let mut dilation = 1;
        for (stage, depth) in self.depths.into_iter().enumerate() {
            let dilates = self.dilated && stage >= 2;
            for unit in 0..depth {
                let stride = if stage > 0 && unit == 0 && !dilates { 2 } else { 1 };
                let w = w.at(format_args!("layer{}.{unit}", stage + 1));
                // The first block of a dilated stage still has the dilation of the one before.
                x = residual(g, &w, self.block, x, stride, dilation)?;
                if dilates && unit == 0 {
                    dilation *= 2;
                }
            }
            stages[stage] = x;
        }
        Ok(stages)
    }
}

fn residual(
    g: &mut Builder,
    w: &Weights,
    block: Block,
    x: Val,
    stride: usize,
    dilation: usize,
) -> Result<Val> {
    let k1 = Window::of(1);
    let k3 = Window::of(3).pad(dilation).dilation(dilation);
    let windows: &[Window] = match block {
        Block::Basic => &[k3.stride(stride), k3],
        Block::Bottleneck => &[k1, k3.stride(stride), k1],
    };
    let mut y = x;
    for (i, &window) in windows.iter().enumerate() {
        if i > 0 {
            y = g.relu(y)?;
        }
        let (conv, bn) = (format!("conv{}", i + 1), format!("bn{}", i + 1));
        y = conv_bn(g, w, (&conv, &bn), y, window)?;
    }
    let shortcut = match w.find("downsample") {
        Some(w) => conv_bn(g, &w, ("0", "1"), x, k1.stride(stride))?,
        None => x,
    };
    let sum = g.add(y, shortcut)?;
    g.relu(sum)
}
