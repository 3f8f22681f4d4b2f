enum Mine {}

impl<T: Send + 'static> leasehold::LeaseKind<T> for Mine {}

fn main() {}
