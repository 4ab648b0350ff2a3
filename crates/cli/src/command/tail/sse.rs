use super::follow::{Audience, Follow};
use super::{Cut, Link};

pub async fn read(_link: &Link<'_>, _follow: &mut Follow, _audience: &mut dyn Audience) -> Result<(), Cut> {
    Ok(())
}
