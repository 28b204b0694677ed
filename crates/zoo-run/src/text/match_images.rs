//! Which of several texts goes with a picture, asked of a network that knows both, as transformers'
//! `zero-shot-image-classification` does it.

use zoo_tensor::Tensor;

use super::{Class, Cut, TextModel};
use crate::{Error, Named, Result, numbers};

const TASK: &str = "zero-shot-image-classification";

/// The sentence that a label is put into where none is given.
pub const CAPTION: &str = "This is a photo of {}.";

/// As many tokens SigLIP's texts have, always.
const SIGLIP_TOKENS: usize = 64;

impl TextModel<'_> {
    /// For every picture, every text, best first. `pixels` is the input `pixel_values`, `[pictures, channels, height, width]`; the
    /// graph's output is `logits_per_image`, `[pictures, texts]`. CLIP's scores become probabilities that sum to 1, SigLIP's one for each
    /// text.
    ///
    /// # Errors
    /// [`Error::Outputs`] if there is no such output.
    pub fn match_images(
        &mut self,
        pixels: &Tensor,
        texts: &[&str],
        labels: &[&str],
    ) -> Result<Vec<Vec<Class>>> {
        let siglip = self.config().model_type().contains("siglip");
        let most = if siglip { Some(SIGLIP_TOKENS) } else { self.tokenizer().max_length() };
        let mut encoded = Vec::with_capacity(texts.len());
        for text in texts {
            encoded.push(self.encode_within(text, None, most.map_or(Cut::Never, Cut::Longest))?);
        }
        let inputs: Vec<Named> = vec![("pixel_values".to_owned(), pixels.clone())];
        let scores =
            self.run_at_once(&encoded, &inputs, siglip.then_some(SIGLIP_TOKENS), "logits_per_image", TASK)?;
        let pictures = pixels.shape().first().copied().unwrap_or(0);
        if scores.shape() != [pictures, texts.len()] {
            let problem = format!(
                "\"logits_per_image\" has the shape {:?}, and [{pictures}, {}] is needed",
                scores.shape(),
                texts.len()
            );
            return Err(Error::Outputs { task: TASK, problem });
        }
        let mut all = Vec::with_capacity(pictures);
        for picture in 0..pictures {
            let row = numbers::slice(&scores, picture * texts.len(), texts.len()).ok_or_else(|| {
                let problem = format!("\"logits_per_image\" holds {} elements", scores.dtype());
                Error::Outputs { task: TASK, problem }
            })?;
            let chances = if siglip {
                row.iter().map(|&score| numbers::sigmoid(score)).collect()
            } else {
                numbers::softmax(&row)
            };
            let mut classes: Vec<Class> =
                labels.iter().zip(chances).map(|(label, chance)| Class::new(*label, chance)).collect();
            Class::sort(&mut classes);
            all.push(classes);
        }
        Ok(all)
    }
}
