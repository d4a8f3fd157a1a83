//! Templates, by tenant and name.

use super::{
    StoreError,
    cursor::{self, Page},
    keys,
    table::{Table, Write, item, row},
};
use crate::model::Tenant;
use crate::model::template::{Template, TemplateId};

/// Templates, by tenant and name.
#[derive(Clone, Debug)]
pub struct Templates {
    table: Table,
}

impl Templates {
    pub(super) fn new(table: Table) -> Self {
        Self { table }
    }

    /// One template.
    pub async fn get(&self, tenant: &Tenant, name: &TemplateId) -> Result<Option<Template>, StoreError> {
        self.table.get(&keys::template(tenant, name)).await?.map(row).transpose()
    }

    /// A tenant's templates by name, `limit` at a time.
    pub async fn list(&self, tenant: &Tenant, limit: u32, cursor: Option<&str>) -> Result<Page<Template>, StoreError> {
        cursor::rows(&self.table, keys::templates(tenant), limit, cursor).await
    }

    /// Writes a template.
    pub async fn put(&self, tenant: &Tenant, template: &Template) -> Result<(), StoreError> {
        self.table.put(item(&keys::template(tenant, &template.template), template)?, None, Vec::new()).await?;
        Ok(())
    }

    /// Deletes a template; false: there was none.
    pub async fn delete(&self, tenant: &Tenant, name: &TemplateId) -> Result<bool, StoreError> {
        let deleted = self.table.delete(&keys::template(tenant, name), None, Vec::new()).await?;
        Ok(matches!(deleted, Write::Done(old) if !old.is_empty()))
    }
}
