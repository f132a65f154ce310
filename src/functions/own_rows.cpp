#include "functions/own_rows.hpp"

#include "functions/own_tables.hpp"

extern "C" {
#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "catalog/pg_am_d.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "rewrite/rewriteHandler.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/syscache.h"
}

namespace pg_seats {

// In a memory context of its own, where its expressions and those of the indexes keep what they
// need.
struct PreparedRows {
    MemoryContext memory;
    Oid table;
    bool is_usable;  // else a statement must add its rows
    EState* state;
    int* given;            // of each column: which of the values that are given; -1: none
    ExprState** defaults;  // or how it is generated; none: it is null
    int index_count;
    Oid* indexes;
    IndexInfo** index_infos;
};

namespace {

// All of it raises, and holds no C++ objects.

// All zero.
template <class Element>
Element* room_for(std::size_t count) {
    return static_cast<Element*>(palloc0(count * sizeof(Element)));
}

// A transaction that may not write has its error from a statement.
bool may_write() {
    return !XactReadOnly && !IsInParallelMode();
}

bool has_checks(Relation table) {
    const TupleConstr* const rules = RelationGetDescr(table)->constr;
    return rules != nullptr && rules->num_check > 0;
}

bool generates_columns(Relation table) {
    const TupleDesc columns = RelationGetDescr(table);
    for (int i = 0; i < columns->natts; ++i) {
        if (TupleDescAttr(columns, i)->attgenerated != '\0') {
            return true;
        }
    }
    return false;
}

// There is nothing about it but columns, indexes and triggers. (Whoever wants to add something has
// to wait for its lock.)
bool is_ordinary(Relation table) {
    const FormData_pg_class& row = *table->rd_rel;
    return row.relkind == RELKIND_RELATION && !row.relhassubclass && !row.relispartition &&
           !row.relrowsecurity && table->rd_rules == nullptr && !has_checks(table);
}

// ---- a row that is there

// A foreign key is nobody's business as long as its columns stay.
bool is_idle(Relation table, Trigger* trigger, TupleTableSlot* before, TupleTableSlot* after) {
    switch (RI_FKey_trigger_type(trigger->tgfoid)) {
        case RI_TRIGGER_FK:
            return !RI_FKey_fk_upd_check_required(trigger, table, before, after);
        case RI_TRIGGER_PK:
            return !RI_FKey_pk_upd_check_required(trigger, table, before, after);
        default:
            return false;
    }
}

// (A copy, as the executor makes one: the first look at a foreign key reads catalogs, and if the
// table has just been analysed, say, its own triggers are freed meanwhile and read anew.)
bool fires_none(Relation table, TupleTableSlot* before, TupleTableSlot* after) {
    const TriggerDesc* const triggers = CopyTriggerDesc(table->trigdesc);
    for (int i = 0; triggers != nullptr && i < triggers->numtriggers; ++i) {
        if (!is_idle(table, &triggers->triggers[i], before, after)) {
            return false;
        }
    }
    return true;
}

// A version on another page, or with another key.
void enter_in_indexes(Relation table, TupleTableSlot* slot, pg::UpdatedIndexes which) {
    EState* const state = CreateExecutorState();
    auto* const target = makeNode(ResultRelInfo);
    InitResultRelInfo(target, table, 0, nullptr, 0);
    ExecOpenIndices(target, false);
    pg::insert_index_entries(target, slot, state, true, which);
    ExecCloseIndices(target);
    FreeExecutorState(state);
}

bool write_version(Relation table, HeapTuple row, TupleTableSlot* slot) {
    TM_FailureData failure;
    LockTupleMode mode{};
    pg::UpdatedIndexes indexes{};
    if (table_tuple_update(table, &row->t_self, slot, GetCurrentCommandId(true),
                           GetActiveSnapshot(), InvalidSnapshot, true, &failure, &mode,
                           &indexes) != TM_Ok) {
        return false;
    }
    if (indexes != pg::no_indexes) {
        enter_in_indexes(table, slot, indexes);
    }
    return true;
}

HeapTuple with(Relation table, HeapTuple row, std::span<const NewValue> changes) {
    int* const numbers = room_for<int>(changes.size());
    Datum* const values = room_for<Datum>(changes.size());
    bool* const nulls = room_for<bool>(changes.size());
    int count = 0;
    for (const NewValue& change : changes) {
        numbers[count] = column_number(table, change.column);
        values[count++] = change.value;
    }
    return heap_modify_tuple_by_cols(row, RelationGetDescr(table), count, numbers, values, nulls);
}

// ---- a row that is new

RowWriter* writers[4];
int writer_count = 0;

void something_changed(Datum /*argument*/, Oid relation) {
    for (int i = 0; i < writer_count; ++i) {
        const PreparedRows* const prepared = writers[i]->prepared;
        // (Without one it is just being made.)
        if (prepared == nullptr || relation == InvalidOid || relation == prepared->table) {
            writers[i]->is_stale = true;
        }
    }
}

// A default may call it.
void function_changed(Datum argument, int /*cache*/, uint32 /*hash*/) {
    something_changed(argument, InvalidOid);
}

void register_writer(RowWriter& writer) {
    if (writer.is_registered) {
        return;
    }
    if (writer_count == lengthof(writers)) {
        elog(ERROR, "pg_seats: there is no place for another writer of rows");
    }
    if (writer_count == 0) {
        CacheRegisterRelcacheCallback(something_changed, Datum{0});
        CacheRegisterSyscacheCallback(PROCOID, function_changed, Datum{0});
    }
    writers[writer_count++] = &writer;
    writer.is_registered = true;
}

int given_value(const RowWriter& writer, const FormData_pg_attribute& column) {
    for (std::size_t i = 0; i < writer.columns.size(); ++i) {
        if (strcmp(NameStr(column.attname), writer.columns[i].name) == 0) {
            return static_cast<int>(i);
        }
    }
    return -1;
}

// Values are stored as they are given, and defaults as they come: nothing is cast or checked.
bool is_simple(const FormData_pg_attribute& column, const RowWriter& writer, int given) {
    if (given >= 0) {
        return column.atttypid == writer.columns[given].type && column.atttypmod == -1 &&
               column.attgenerated == '\0';
    }
    return get_typtype(column.atttypid) != TYPTYPE_DOMAIN &&
           (column.attgenerated == '\0' || column.attgenerated == ATTRIBUTE_GENERATED_STORED);
}

void prepare_columns(const RowWriter& writer, Relation table, PreparedRows* prepared) {
    const TupleDesc columns = RelationGetDescr(table);
    const auto size = static_cast<std::size_t>(columns->natts);
    prepared->given = room_for<int>(size);
    prepared->defaults = room_for<ExprState*>(size);
    std::size_t found = 0;
    for (int i = 0; i < columns->natts; ++i) {
        const FormData_pg_attribute& column = *TupleDescAttr(columns, i);
        prepared->given[i] = -1;
        if (column.attisdropped) {
            continue;
        }
        const int given = given_value(writer, column);
        prepared->given[i] = given;
        found += given >= 0 ? 1 : 0;
        prepared->is_usable = prepared->is_usable && is_simple(column, writer, given);
        Node* const expression = given >= 0 ? nullptr : build_column_default(table, i + 1);
        if (expression != nullptr) {
            prepared->defaults[i] =
                ExecPrepareExpr(reinterpret_cast<Expr*>(expression), prepared->state);
        }
    }
    prepared->is_usable = prepared->is_usable && found == writer.columns.size();
}

void prepare_indexes(Relation table, PreparedRows* prepared) {
    List* const list = RelationGetIndexList(table);
    const auto size = static_cast<std::size_t>(list_length(list));
    prepared->indexes = room_for<Oid>(size);
    prepared->index_infos = room_for<IndexInfo*>(size);
    for (; prepared->index_count < list_length(list); ++prepared->index_count) {
        Relation const index =
            index_open(list_nth_oid(list, prepared->index_count), RowExclusiveLock);
        IndexInfo* const info = BuildIndexInfo(index);
        prepared->indexes[prepared->index_count] = RelationGetRelid(index);
        prepared->index_infos[prepared->index_count] = info;
        // (Others may want to do something at the end of a statement.)
        prepared->is_usable = prepared->is_usable && index->rd_rel->relam == BTREE_AM_OID &&
                              info->ii_ExclusionOps == nullptr;
        index_close(index, RowExclusiveLock);
    }
    list_free(list);
}

void prepare(RowWriter& writer) {
    register_writer(writer);
    if (writer.prepared != nullptr) {
        MemoryContext const old = writer.prepared->memory;
        writer.prepared = nullptr;
        MemoryContextDelete(old);
    }
    writer.is_stale = false;
    MemoryContext const memory =
        AllocSetContextCreate(CurrentMemoryContext, "pg_seats: rows", ALLOCSET_SMALL_SIZES);
    MemoryContext const before = MemoryContextSwitchTo(memory);
    Relation const table = table_open(own_relation(writer.table), RowExclusiveLock);
    auto* const prepared = static_cast<PreparedRows*>(palloc0(sizeof(PreparedRows)));
    prepared->memory = memory;
    prepared->table = RelationGetRelid(table);
    prepared->is_usable = true;
    prepared->state = CreateExecutorState();
    prepare_columns(writer, table, prepared);
    prepare_indexes(table, prepared);
    (void)GetPerTupleExprContext(prepared->state);
    table_close(table, NoLock);
    MemoryContextSwitchTo(before);
    MemoryContextSetParent(memory, TopMemoryContext);
    writer.prepared = prepared;
}

// Locked, and as it was when all this was looked up.
Relation open_prepared(RowWriter& writer) {
    for (;;) {
        if (writer.prepared == nullptr || writer.is_stale) {
            prepare(writer);
        }
        LockRelationOid(writer.prepared->table, RowExclusiveLock);
        if (!writer.is_stale) {
            return table_open(writer.prepared->table, NoLock);
        }
        UnlockRelationOid(writer.prepared->table, RowExclusiveLock);
        CHECK_FOR_INTERRUPTS();
    }
}

Datum evaluate(ExprState* expression, ExprContext* context, bool* is_null) {
    *is_null = expression == nullptr;
    return expression == nullptr ? Datum{0} : ExecEvalExpr(expression, context, is_null);
}

void fill(const PreparedRows& prepared, const NullableDatum* values, TupleTableSlot* slot) {
    ExprContext* const context = GetPerTupleExprContext(prepared.state);
    const TupleDesc columns = slot->tts_tupleDescriptor;
    for (int i = 0; i < columns->natts; ++i) {
        if (prepared.given[i] >= 0) {
            slot->tts_values[i] = values[prepared.given[i]].value;
            slot->tts_isnull[i] = values[prepared.given[i]].isnull;
        } else if (TupleDescAttr(columns, i)->attgenerated == '\0') {
            slot->tts_values[i] = evaluate(prepared.defaults[i], context, &slot->tts_isnull[i]);
        } else {
            slot->tts_isnull[i] = true;
        }
    }
    ExecStoreVirtualTuple(slot);
    context->ecxt_scantuple = slot;
    for (int i = 0; i < columns->natts; ++i) {
        if (TupleDescAttr(columns, i)->attgenerated != '\0') {
            slot->tts_values[i] = evaluate(prepared.defaults[i], context, &slot->tts_isnull[i]);
        }
    }
}

bool lacks_values(const TupleTableSlot* slot) {
    const TupleDesc columns = slot->tts_tupleDescriptor;
    for (int i = 0; i < columns->natts; ++i) {
        if (slot->tts_isnull[i] && TupleDescAttr(columns, i)->attnotnull) {
            return true;
        }
    }
    return false;
}

void enter_in_kept_indexes(const PreparedRows& prepared, Relation table, TupleTableSlot* slot) {
    auto* const target = makeNode(ResultRelInfo);
    InitResultRelInfo(target, table, 0, nullptr, 0);
    target->ri_NumIndices = prepared.index_count;
    target->ri_IndexRelationInfo = prepared.index_infos;
    target->ri_IndexRelationDescs =
        room_for<Relation>(static_cast<std::size_t>(prepared.index_count));
    for (int i = 0; i < prepared.index_count; ++i) {
        target->ri_IndexRelationDescs[i] = index_open(prepared.indexes[i], RowExclusiveLock);
    }
    pg::insert_index_entries(target, slot, prepared.state, false, pg::all_indexes);
    ExecCloseIndices(target);
}

bool write_new(const PreparedRows& prepared, Relation table, const NullableDatum* values,
               TupleTableSlot* slot) {
    MemoryContext const before = MemoryContextSwitchTo(GetPerTupleMemoryContext(prepared.state));
    fill(prepared, values, slot);
    const bool is_complete = !lacks_values(slot);
    if (is_complete) {
        table_tuple_insert(table, slot, GetCurrentCommandId(true), 0, nullptr);
        enter_in_kept_indexes(prepared, table, slot);
    }
    MemoryContextSwitchTo(before);
    return is_complete;
}

bool add_by_statement(RowWriter& writer, const NullableDatum* given, std::int64_t* id) {
    const std::size_t count = writer.columns.size();
    Oid* const types = room_for<Oid>(count);
    Datum* const values = room_for<Datum>(count);
    char* const nulls = room_for<char>(count + 1);
    for (std::size_t i = 0; i < count; ++i) {
        types[i] = writer.columns[i].type;
        values[i] = given[i].value;
        nulls[i] = given[i].isnull ? 'n' : ' ';
    }
    const int level = begin_statements();
    const bool is_written =
        run_kept(writer.statement, static_cast<int>(count), types, values, nulls) == 1;
    if (is_written && id != nullptr) {
        *id = DatumGetInt64(first_value());
    }
    end_statements(level);
    return is_written;
}

bool add_to_table(RowWriter& writer, const NullableDatum* values, std::int64_t* id) {
    Relation const table = open_prepared(writer);
    const PreparedRows& prepared = *writer.prepared;
    bool is_written = false;
    if (prepared.is_usable && is_ordinary(table) && table->trigdesc == nullptr) {
        TupleTableSlot* const slot =
            MakeSingleTupleTableSlot(RelationGetDescr(table), table_slot_callbacks(table));
        slot->tts_tableOid = RelationGetRelid(table);
        ResetPerTupleExprContext(prepared.state);
        is_written = write_new(prepared, table, values, slot);
        if (is_written && id != nullptr) {
            bool is_null = false;
            *id = DatumGetInt64(slot_getattr(slot, column_number(table, "id"), &is_null));
        }
        ExecDropSingleTupleTableSlot(slot);
    }
    table_close(table, NoLock);
    return is_written;
}

bool add_directly(RowWriter& writer, const NullableDatum* values, std::int64_t* id) {
    if (!may_write() || writer.is_busy) {
        return false;
    }
    bool is_written = false;
    writer.is_busy = true;
    PG_TRY();
    { is_written = add_to_table(writer, values, id); }
    PG_FINALLY();
    { writer.is_busy = false; }
    PG_END_TRY();
    if (is_written) {
        CommandCounterIncrement();
    }
    return is_written;
}

}  // namespace

bool change_row(const char* name, HeapTuple row, std::span<const NewValue> changes) {
    if (!may_write()) {
        return false;
    }
    Relation const table = table_open(own_relation(name), RowExclusiveLock);
    bool is_written = false;
    if (is_ordinary(table) && !generates_columns(table)) {
        CheckCmdReplicaIdentity(table, CMD_UPDATE);
        const TupleDesc columns = RelationGetDescr(table);
        TupleTableSlot* const before = MakeSingleTupleTableSlot(columns, &TTSOpsHeapTuple);
        TupleTableSlot* const after = MakeSingleTupleTableSlot(columns, &TTSOpsHeapTuple);
        ExecStoreHeapTuple(row, before, false);
        ExecStoreHeapTuple(with(table, row, changes), after, true);
        is_written = fires_none(table, before, after) && write_version(table, row, after);
        ExecDropSingleTupleTableSlot(after);
        ExecDropSingleTupleTableSlot(before);
    }
    table_close(table, NoLock);
    if (is_written) {
        CommandCounterIncrement();
    }
    return is_written;
}

bool add_row(RowWriter& writer, const NullableDatum* values, std::int64_t* id) {
    return add_directly(writer, values, id) || add_by_statement(writer, values, id);
}

}  // namespace pg_seats
