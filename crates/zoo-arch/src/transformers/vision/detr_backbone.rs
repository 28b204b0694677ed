//! The ResNets below DETR, under the names of timm or of the transformers library. Their batch norms are frozen, which in inference all are.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Val, Weights};

use super::pixels::pixels;
use super::resnet::ResNet;
use crate::config::Config;
use crate::image::ImageSize;
use crate::nn::conv_bn;
use crate::transformers::Result;

/// timm's networks that are built: what else is called so has another stem, or more in its blocks.
const TIMM: &[&str] = &["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"];

/// Adds the input, and gives the maps that the configuration asks for, from the largest to the smallest.
pub(super) fn feature_maps(
    g: &mut Builder,
    config: &Config,
    w: &Weights,
    size: ImageSize,
) -> Result<Vec<Val>> {
    if config.flag("use_timm_backbone", true)? {
        if !TIMM.contains(&config.word(&["backbone"], "resnet50")?) {
            return Ok(config.unsupported("backbone")?);
        }
        let reduction = reduction(config)?;
        let image = pixels(g, &w.at("conv1"), size)?;
        return timm(g, w, image, reduction);
    }
    let backbone = config.at("backbone_config");
    if backbone.model_type().unwrap_or("resnet") != "resnet" {
        return Ok(backbone.unsupported("model_type")?);
    }
    let image = pixels(g, &w.at("embedder.embedder.convolution"), size)?;
    let (stem, stages) = ResNet::of(&backbone)?.stages(g, w, image)?;
    let last = format!("stage{}", stages.len());
    let wanted = backbone.words("out_features")?.unwrap_or_else(|| vec![last.as_str()]);
    let all = [stem].into_iter().chain(stages).enumerate();
    let name = |index: usize| if index == 0 { "stem".to_owned() } else { format!("stage{index}") };
    Ok(all.filter(|(index, _)| wanted.contains(&name(*index).as_str())).map(|(_, map)| map).collect())
}

/// By how much the last map is smaller than the image: 32, or less where windows are dilated instead of moved by two.
fn reduction(config: &Config) -> Result<usize> {
    let dilated = config.flag("dilation", false)?;
    let more = config.at("backbone_kwargs");
    let is_known = |name: &str| matches!(name, "out_indices" | "in_chans" | "output_stride");
    if more.sizes("out_indices", &[1, 2, 3, 4])? != [1, 2, 3, 4] || !more.names().all(is_known) {
        return Ok(config.unsupported("backbone_kwargs")?);
    }
    Ok(more.size(&["output_stride"], if dilated { 16 } else { 32 })?)
}

/// The four stages of a network whose depths and kind of block its weights show.
fn timm(g: &mut Builder, w: &Weights, image: Val, reduction: usize) -> Result<Vec<Val>> {
    let x = conv_bn(g, w, ("conv1", "bn1"), image, Window::same(7).stride(2))?;
    let x = g.relu(x)?;
    let mut x = g.max_pool(x, Window::same(3).stride(2))?;
    let (mut reduced, mut dilation, mut maps) = (4, 1, Vec::new());
    for stage in 1..=4 {
        let depth = w.count(format_args!("layer{stage}"));
        let w = w.at(format_args!("layer{stage}"));
        let mut stride = if stage > 1 { 2 } else { 1 };
        // The first window of a stage that is dilated still is as the stage before.
        let mut first = dilation;
        if reduced >= reduction {
            dilation *= stride;
            stride = 1;
        }
        reduced *= stride;
        for block in 0..depth.max(1) {
            x = residual(g, &w.at(block), x, stride, [first, dilation])?;
            (stride, first) = (1, dilation);
        }
        maps.push(x);
    }
    Ok(maps)
}

/// A block: two windows of 3x3, or one between two of 1x1. `first` is the dilation of its first 3x3, `dilation` that of a second.
fn residual(
    g: &mut Builder,
    w: &Weights,
    x: Val,
    stride: usize,
    [first, dilation]: [usize; 2],
) -> Result<Val> {
    let k1 = Window::of(1);
    let k3 = |dilation: usize| Window::of(3).pad(dilation).dilation(dilation);
    let windows: &[Window] = match w.find("conv3") {
        Some(_) => &[k1, k3(first).stride(stride), k1],
        None => &[k3(first).stride(stride), k3(dilation)],
    };
    let mut y = x;
    for (index, &window) in windows.iter().enumerate() {
        if index > 0 {
            y = g.relu(y)?;
        }
        let names = (format!("conv{}", index + 1), format!("bn{}", index + 1));
        y = conv_bn(g, w, (&names.0, &names.1), y, window)?;
    }
    let shortcut = match w.find("downsample") {
        Some(w) => conv_bn(g, &w, ("0", "1"), x, k1.stride(stride))?,
        None => x,
    };
    let sum = g.add(y, shortcut)?;
    Ok(g.relu(sum)?)
}
