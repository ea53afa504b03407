//! Enumerations of an API: closed in the schema, open when read.

/// Defines an enumeration that is a string in the API.
///
/// The schema lists the values. A value outside of them, left by another version of the API, is
/// read as `Other` and written back as it was, so that one odd object cannot make a whole list
/// unreadable. A variant marked `(default)` gives the type a `Default`.
#[macro_export]
macro_rules! string_enum {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $( $(#[$variant_meta:meta])* $variant:ident $(($default:ident))? = $text:literal ),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $( $(#[$variant_meta])* $variant, )+
            /// A value this version does not know.
            Other(String),
        }

        impl $name {
            /// The values of the schema.
            pub const VALUES: &'static [&'static str] = &[$($text),+];

            /// The value as it stands in the API.
            pub fn as_str(&self) -> &str {
                match self {
                    $( Self::$variant => $text, )+
                    Self::Other(text) => text,
                }
            }
        }

        impl ::core::convert::From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $( $text => Self::$variant, )+
                    other => Self::Other(other.to_owned()),
                }
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::__private::serde::Serialize for $name {
            fn serialize<S: $crate::__private::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> $crate::__private::serde::Deserialize<'de> for $name {
            fn deserialize<D: $crate::__private::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::core::result::Result<Self, D::Error> {
                let text =
                    <String as $crate::__private::serde::Deserialize>::deserialize(deserializer)?;
                Ok(Self::from(text.as_str()))
            }
        }

        impl $crate::__private::schemars::JsonSchema for $name {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(
                _: &mut $crate::__private::schemars::SchemaGenerator,
            ) -> $crate::__private::schemars::Schema {
                $crate::__private::schemars::json_schema!({ "type": "string", "enum": Self::VALUES })
            }
        }

        $( $( $crate::string_enum!(@$default $name $variant); )? )+
    };
    (@default $name:ident $variant:ident) => {
        impl ::core::default::Default for $name {
            fn default() -> Self {
                Self::$variant
            }
        }
    };
}

#[cfg(test)]
mod tests {
    string_enum! {
        /// A choice.
        pub enum Choice {
            /// The first.
            First(default) = "first",
            /// The second.
            Second = "second",
        }
    }

    #[test]
    fn reads_known_and_unknown_values_and_writes_them_back() {
        for (text, choice) in [
            ("\"first\"", Choice::First),
            ("\"second\"", Choice::Second),
            ("\"third\"", Choice::Other("third".into())),
        ] {
            assert_eq!(serde_json::from_str::<Choice>(text).unwrap(), choice);
            assert_eq!(serde_json::to_string(&choice).unwrap(), text);
        }
        assert_eq!(Choice::default(), Choice::First);
    }

    #[test]
    fn the_schema_lists_the_values() {
        let schema = schemars::schema_for!(Choice);
        assert_eq!(schema.get("enum").unwrap(), &serde_json::json!(["first", "second"]));
    }
}
