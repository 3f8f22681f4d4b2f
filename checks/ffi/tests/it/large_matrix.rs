//! A matrix over a rented block of more than 2 GiB of address space, of which only what is touched takes memory.

use check_ffi::{Matrix, MatrixMut, Misfit, multiply};
use leasehold::{HugePages, MemoryPool, Pages};

const ROWS: usize = 7;
const INNER: usize = 5;
const COLUMNS: usize = 3;
/// From row to row, in elements: 400 MB.
const STRIDE: usize = 100_000_001;
/// 2.4 GB.
const LEN: usize = (ROWS - 1) * STRIDE + INNER;

fn pool() -> MemoryPool {
    MemoryPool::builder().backing(Pages::new().huge(HugePages::Never)).build()
}

/// KiB of this process that are in memory.
#[cfg(target_os = "linux")]
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
#[cfg(target_pointer_width = "64")]
fn a_matrix_over_more_than_two_gibibytes_is_multiplied_in_place() {
    const { assert!(LEN * size_of::<f32>() > 2 << 30) };
    #[cfg(target_os = "linux")]
    let before = resident();
    let pool = pool();
    let (mut left, mut product) = (pool.rent::<f32>(LEN), pool.rent::<f32>(LEN));
    let right: Vec<f32> = (0..INNER * COLUMNS).map(|index| index as f32 - 6.0).collect();
    for row in 0..ROWS {
        for inner in 0..INNER {
            left[row * STRIDE + inner] = (row * 10 + inner) as f32;
        }
    }

    let a = Matrix::new(&left, (ROWS, INNER), (STRIDE, 1)).unwrap();
    let b = Matrix::new(&right, (INNER, COLUMNS), (COLUMNS, 1)).unwrap();
    let mut c = MatrixMut::new(&mut product, (ROWS, COLUMNS), (STRIDE, 2)).unwrap();
    multiply(a, b, &mut c).unwrap();

    for row in 0..ROWS {
        for column in 0..COLUMNS {
            let term = |inner| (row * 10 + inner) as f32 * right[inner * COLUMNS + column];
            let expected: f32 = (0..INNER).map(term).sum();
            assert_eq!(product[row * STRIDE + 2 * column], expected, "row {row}, column {column}");
        }
        assert_eq!(product[row * STRIDE + 1], 0.0, "what lies between is not touched");
    }
    #[cfg(target_os = "linux")]
    {
        let grown = resident().saturating_sub(before);
        assert!(grown < 512 << 10, "{grown} KiB became resident");
    }
    drop((left, product));
    pool.trim();
    assert_eq!(pool.idle_bytes(), 0);
    assert_eq!(pool.stats().rented_bytes, 0);
}

#[test]
fn a_matrix_that_does_not_fit_its_slice_is_refused() {
    let elements = [0.0; 10];
    assert!(Matrix::new(&elements, (2, 5), (5, 1)).is_ok());
    assert!(Matrix::new(&elements, (5, 2), (1, 5)).is_ok(), "by columns");
    assert_eq!(Matrix::new(&elements, (2, 5), (6, 1)).unwrap_err(), Misfit::TooShort { len: 10 });
    assert_eq!(Matrix::new(&elements, (3, 1), (usize::MAX, 1)).unwrap_err(), Misfit::TooShort { len: 10 });
    assert_eq!(Matrix::new(&elements, (2, 2), (usize::MAX, 1)).unwrap_err(), Misfit::TooShort { len: 10 });
    assert!(Matrix::new(&[], (0, 5), (5, 1)).is_ok());
    assert!(Matrix::new(&elements, (9, 1), (0, 0)).is_ok(), "to read one element again and again");
}

#[test]
fn a_product_whose_elements_overlap_is_refused() {
    let mut elements = [0.0; 10];
    for strides in [(0, 1), (1, 1), (1, 0), (2, 1)] {
        let refused = MatrixMut::new(&mut elements, (3, 3), strides).unwrap_err();
        assert_eq!(refused, Misfit::Overlapping, "{strides:?}");
    }
    assert!(MatrixMut::new(&mut elements, (3, 3), (3, 1)).is_ok());
    assert!(MatrixMut::new(&mut elements, (3, 3), (1, 3)).is_ok());
    assert!(MatrixMut::new(&mut elements, (1, 9), (0, 1)).is_ok());
    assert_eq!(MatrixMut::new(&mut elements, (1, 9), (1, 0)).unwrap_err(), Misfit::Overlapping);
}

#[test]
fn factors_that_do_not_fit_are_refused() {
    let elements = [1.0; 10];
    let mut product = [0.0; 10];
    let a = Matrix::new(&elements, (2, 3), (3, 1)).unwrap();
    let mut c = MatrixMut::new(&mut product, (2, 3), (3, 1)).unwrap();
    assert_eq!(multiply(a, a, &mut c), Err(Misfit::Shapes));
}
