//! The dialect of CEL that rules of custom resources and admission policies are written in.

pub(crate) mod authorizer;
mod library;
mod network;
mod special;

use std::sync::LazyLock;

use fluxide_cel::Dialect;

/// The functions of Kubernetes 1.36.
pub(crate) fn dialect() -> Option<&'static Dialect> {
    static DIALECT: LazyLock<Option<Dialect>> =
        LazyLock::new(|| Dialect::new(library::extend, library::OVERLOADS).ok());
    DIALECT.as_ref()
}

#[cfg(test)]
mod tests {
    use fluxide_cel::{Outcome, Type};
    use serde_json::json;

    fn holds(text: &str) -> Result<Outcome, String> {
        let variables = json!({"l": [1, 2, 3], "words": ["b", "a"], "s": "one-two"});
        let program = super::dialect().unwrap().compile(text, &[("self", Type::Dyn)]).unwrap();
        program.evaluate(&[("self", Type::Dyn.value(&variables))])
    }

    #[test]
    fn functions_of_kubernetes() {
        for text in [
            "self.l.isSorted() && !self.words.isSorted()",
            "self.l.sum() == 6 && self.l.min() == 1 && self.l.max() == 3",
            "self.words.indexOf('a') == 1 && self.words.lastIndexOf('c') == -1",
            "self.s.find('[a-z]+') == 'one' && self.s.findAll('[a-z]+') == ['one', 'two']",
            "isQuantity('1Gi') && !isQuantity('x')",
            "quantity('512Mi').isLessThan(quantity('1Gi')) && quantity('1k').compareTo(quantity('1000')) == 0",
            "quantity('1').add(quantity('500m')) == quantity('1500m') && quantity('2').asInteger() == 2",
            "isURL('https://example.com:80/path?k=v') && !isURL('x')",
            "url('https://example.com:80/path').getHost() == 'example.com:80'",
            "url('https://example.com:80/path').getPort() == '80'",
            "isIP('10.0.0.1') && ip('10.0.0.1').family() == 4 && !isIP('x')",
            "cidr('10.0.0.0/8').containsIP('10.1.2.3') && cidr('10.0.0.0/8').prefixLength() == 8",
            "type(self.l[0]) == int",
        ] {
            assert_eq!(holds(text), Ok(Outcome::Bool(true)), "{text}");
        }
        let why = holds("quantity('zz').isLessThan(quantity('1'))").unwrap_err();
        assert!(why.starts_with("quantities must match the regular expression"), "{why}");
    }
}
