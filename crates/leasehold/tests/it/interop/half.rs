//! `half`.

use half::{bf16, f16};
use leasehold::{MemoryPool, Number, Sequence};

#[test]
fn numbers_of_sixteen_bits_are_rented_and_cast() {
    let pool = MemoryPool::new();
    let mut owner = pool.rent::<f16>(3);
    owner.copy_from_slice(&[1.0, 0.5, -2.0].map(f16::from_f32));
    let address = owner.as_ptr().addr();
    let bits = owner.cast::<u16>().unwrap();
    assert_eq!((bits.as_ptr().addr(), &bits[..]), (address, &[0x3c00, 0x3800, 0xc000][..]));
    let brains = bits.into_shared().cast::<bf16>().unwrap();
    assert_eq!((brains.as_ptr().addr(), brains[0].to_bits()), (address, 0x3c00));
    drop(brains);
    assert!(pool.outstanding().is_empty());
}

#[test]
fn numbers_of_sixteen_bits_are_read_in_both_orders() {
    let sequence = Sequence::from_iter([vec![0x3c], vec![0x00, 0x80], vec![0x3f]]);
    let mut reader = sequence.reader();
    assert_eq!(reader.read_be::<f16>().unwrap(), f16::ONE);
    assert_eq!(reader.read_le::<bf16>().unwrap(), bf16::ONE);
    let mut bytes = [0; 2];
    f16::ONE.write_be(&mut bytes).unwrap();
    assert_eq!(bytes, [0x3c, 0]);
}
