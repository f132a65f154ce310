// What monitoring/board.json must be: scenario 78_monitoring puts it behind this as `export const board: Board = {…};` and
// has tsc look. The types are Grafana's own, which says nothing of a Prometheus query: its fields stand here.
import type { Dashboard, FieldConfigSource, Panel, RowPanel } from '@grafana/schema';
import type { Options as StatOptions } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type {
  FieldConfig as TimeSeriesFields, Options as TimeSeriesOptions,
} from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// Enums are words in JSON.
type Json<T> = T extends string ? `${T}` : T extends object ? { [K in keyof T]: Json<T[K]> } : T;

type Query = {
  refId: string;
  datasource: { type: 'prometheus'; uid: '${datasource}' };
  expr: string;
  legendFormat: string;
  instant?: boolean;
};

// (Grafana's own types let a panel have any option.)
type Shown = Pick<Json<Panel>, 'id' | 'title' | 'description' | 'datasource' | 'gridPos'> & { targets: Query[] };
type Stat = Shown & { type: 'stat'; options: Json<StatOptions>; fieldConfig: Json<FieldConfigSource<{}>> };
type TimeSeries = Shown & {
  type: 'timeseries';
  options: Json<TimeSeriesOptions>;
  fieldConfig: Json<Omit<FieldConfigSource, 'defaults'>> & {
    defaults: Omit<Json<FieldConfigSource['defaults']>, 'custom'> & { custom: Json<TimeSeriesFields> };
  };
};

export type Board = Omit<Json<Dashboard>, 'panels'> & { panels: (Stat | TimeSeries | Json<RowPanel>)[] };

