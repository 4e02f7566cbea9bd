//! Decodes `data:` URIs, base64 or percent-encoded.

use data_url::DataUrl;

/// The content of an input file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct InputContent {
    pub(super) bytes: Vec<u8>,
    pub(super) media_type: Option<String>,
    /// The original name, if there is one. Not trusted.
    pub(super) name: String,
}

pub(super) fn is_one(value: &str) -> bool {
    value.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
}

/// Decodes a data URI. Errors contain nothing of it.
pub(super) fn decode(uri: &str, most: u64) -> Result<InputContent, String> {
    let url = DataUrl::process(uri).map_err(|_| "a data URI without a comma".to_owned())?;
    let kind = url.mime_type();
    let media_type = Some(format!("{}/{}", kind.type_, kind.subtype));
    let mut bytes = Vec::new();
    let decoded = url.decode(|part| {
        bytes.extend_from_slice(part);
        if bytes.len() as u64 > most { Err(()) } else { Ok(()) }
    });
    match decoded {
        Ok(_) if bytes.is_empty() => Err("a data URI without content".to_owned()),
        Ok(_) => Ok(InputContent { bytes, media_type, name: String::new() }),
        Err(data_url::forgiving_base64::DecodeError::WriteError(())) => {
            Err(format!("a data URI of more than {most} bytes"))
        }
        Err(data_url::forgiving_base64::DecodeError::InvalidBase64(_)) => {
            Err("a data URI that is not valid base64".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Decoded = Result<(&'static [u8], &'static str), ()>;

    #[test]
    fn both_forms_are_decoded_and_what_is_none_is_not_repeated() {
        let cases: [(&str, Decoded); 9] = [
            ("data:image/png;base64,iVBORw0KGgo=", Ok((b"\x89PNG\r\n\x1a\n", "image/png"))),
            ("DATA:image/png;base64,iVBORw0KGgo", Ok((b"\x89PNG\r\n\x1a\n", "image/png"))),
            ("data:;base64,aGk=", Ok((b"hi", "text/plain"))),
            ("data:text/plain,hello%20%E7%8C%AB", Ok(("hello 猫".as_bytes(), "text/plain"))),
            ("data:image/png;base64,SECRET!!", Err(())),
            ("data:image/png;base64,SECRE", Err(())),
            ("data:image/png;base64SECRET", Err(())),
            ("data:image/png;base64,", Err(())),
            ("data:", Err(())),
        ];
        for (uri, expected) in cases {
            assert!(is_one(uri), "{uri}");
            match (decode(uri, 100), expected) {
                (Ok(content), Ok((bytes, media_type))) => {
                    assert_eq!(content.bytes, bytes, "{uri}");
                    assert_eq!(content.media_type.as_deref(), Some(media_type), "{uri}");
                }
                (Err(why), Err(())) => assert!(!why.contains("SECR"), "{uri}: {why}"),
                (other, _) => panic!("{uri}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_limit_is_on_what_it_decodes_to() {
        assert_eq!(decode("data:;base64,AAAA", 3).unwrap().bytes, [0, 0, 0]);
        decode("data:;base64,AAAA", 2).unwrap_err();
        decode("data:,%00%00%00", 2).unwrap_err();
    }
}
