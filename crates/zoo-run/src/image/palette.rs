//! The colours of classes: the Pascal VOC palette, which segmentation masks have been painted with since 2008.

/// The colour of a class. Class 0, the background, is black.
///
/// The bits of the number are dealt to red, green and blue in turn, and within each from the highest down, so that
/// neighbours differ much.
pub fn colour(class: u8) -> [u8; 3] {
    let bit = |place: u32| (class >> place) & 1;
    [0, 1, 2].map(|channel| {
        (0..3).filter(|turn| turn * 3 + channel < 8).map(|turn| bit(turn * 3 + channel) << (7 - turn)).sum()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_those_of_pascal_voc() {
        let known = [
            (0, [0, 0, 0]),         // background
            (1, [128, 0, 0]),       // aeroplane
            (2, [0, 128, 0]),       // bicycle
            (8, [64, 0, 0]),        // cat
            (15, [192, 128, 128]),  // person
            (20, [0, 64, 128]),     // tv/monitor
            (255, [224, 224, 192]), // void
        ];
        for (class, expected) in known {
            assert_eq!(colour(class), expected, "{class}");
        }
        let all: std::collections::HashSet<[u8; 3]> = (0..=255).map(colour).collect();
        assert_eq!(all.len(), 256);
    }
}
